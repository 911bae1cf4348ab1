"""From settings to the engine that does the work."""

import contextlib
from collections.abc import Callable, Iterator

from phytoscope.cluster.local_engine import LocalEngine
from phytoscope.schema.engine import EngineConfig, EngineKind, RowEngine


@contextlib.contextmanager
def open_engine(config: EngineConfig, say: Callable[[str], None] = lambda _: None) -> Iterator[RowEngine]:
    """Opens the place of work, and leaves it at the end; a cluster that was started here is ended here.

    Args:
        config: Which place.
        say: Told sentences for the user.

    Raises:
        ClusterError: The cluster cannot be reached.
        MissingDependencyError: Ray is not installed.
    """
    if config.kind is EngineKind.local:
        yield LocalEngine()
        return
    from phytoscope.cluster.ray_engine import open_ray

    with open_ray(config, say) as engine:
        yield engine
