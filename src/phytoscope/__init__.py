"""phytoscope: from plant photographs to answers people can act on."""

__version__ = "0.1.0"
