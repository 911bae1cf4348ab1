"""phytoscope: from plant photographs to answers people can act on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phytoscope.client.client import Client
    from phytoscope.predict.predictor import Predictor

__all__ = ["Client", "Predictor", "__version__"]
__version__ = "0.1.0"
_PLACES = {"Client": "phytoscope.client.client", "Predictor": "phytoscope.predict.predictor"}


def __getattr__(name: str) -> Any:
    # What needs much is imported when it is asked for, so that `import phytoscope` costs nothing.
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(_PLACES[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
