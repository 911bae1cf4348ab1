"""How the tables of the records came to be, revision by revision, for Alembic."""
