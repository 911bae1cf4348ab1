"""Where work is done: in this process, or on a Ray cluster that somebody else runs."""

from phytoscope.cluster.choose import open_engine

__all__ = ["open_engine"]
