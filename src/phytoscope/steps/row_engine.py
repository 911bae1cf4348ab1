"""The engine of a command: where its images are looked at, decoded and turned into features."""

import contextlib
import dataclasses
from collections.abc import Iterator

from phytoscope.cluster.lazy_engine import open_lazily
from phytoscope.steps.context import RunContext


@contextlib.contextmanager
def with_engine(context: RunContext) -> Iterator[RunContext]:
    """Gives a context the engine of its settings; a cluster is not started before there is work for it.

    Args:
        context: Settings.

    Raises:
        ClusterError: The cluster cannot be reached.
        MissingDependencyError: Ray is not installed.
    """
    with open_lazily(context.config.engine, context.say) as engine:
        yield dataclasses.replace(context, engine=engine)
