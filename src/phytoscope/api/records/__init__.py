"""What the service answered and what turned out to be true, kept in a database that can be emptied again."""
