"""Which pictures are copies of each other, and what must therefore stay together."""
