"""Places with an address: object stores and other file systems that fsspec knows."""

from phytoscope.storage.place import as_url, is_url, open_place

__all__ = ["as_url", "is_url", "open_place"]
