"""Dagster definitions: the steps as assets, with their checks, sensors and schedules.

`dagster dev -m phytoscope.pipeline` reads `defs` from here. It is built when it is asked for, so that the workspace can
be looked at without Dagster.
"""

from typing import Any

__all__ = ["defs"]


def __getattr__(name: str) -> Any:
    if name == "defs":
        from phytoscope.errors import require

        require("dagster")
        from phytoscope.pipeline.definitions import defs

        return defs
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    # Dagster looks for definitions among the names that a module lists.
    return [*globals(), "defs"]
