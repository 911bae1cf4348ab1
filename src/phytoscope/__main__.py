"""Lets ``python -m phytoscope`` do what the ``phytoscope`` command does."""

from phytoscope.cli import main

if __name__ == "__main__":
    main()
