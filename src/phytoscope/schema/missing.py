"""The mark of a setting that must be given."""

from typing import Any, Final

# How OmegaConf marks a value that must be given. Its import would double the time of `phytoscope --help`.
MISSING: Final[Any] = "???"
