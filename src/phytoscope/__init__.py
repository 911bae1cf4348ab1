"""phytoscope: from plant photographs to answers people can act on."""

import importlib
from typing import TYPE_CHECKING, Any

from phytoscope import errors

if TYPE_CHECKING:
    from phytoscope.client.client import Client
    from phytoscope.estimators.classifier import PlantClassifier
    from phytoscope.estimators.regressor import PlantRegressor
    from phytoscope.predict.predictor import Predictor
    from phytoscope.sdk.dataset import Dataset
    from phytoscope.sdk.evaluation import Evaluation, evaluate
    from phytoscope.sdk.examples import draw_example
    from phytoscope.sdk.inspection import Inspection, inspect
    from phytoscope.sdk.packaging import package
    from phytoscope.sdk.reading import read
    from phytoscope.sdk.splitting import Split, split
    from phytoscope.sdk.training import TrainedRun, train

__all__ = [
    "Client",
    "Dataset",
    "Evaluation",
    "Inspection",
    "PlantClassifier",
    "PlantRegressor",
    "Predictor",
    "Split",
    "TrainedRun",
    "__version__",
    "draw_example",
    "errors",
    "evaluate",
    "inspect",
    "package",
    "read",
    "split",
    "train",
]
__version__ = "0.1.0"
_PLACES = {
    "Client": "phytoscope.client.client",
    "Dataset": "phytoscope.sdk.dataset",
    "Evaluation": "phytoscope.sdk.evaluation",
    "Inspection": "phytoscope.sdk.inspection",
    "PlantClassifier": "phytoscope.estimators.classifier",
    "PlantRegressor": "phytoscope.estimators.regressor",
    "Predictor": "phytoscope.predict.predictor",
    "Split": "phytoscope.sdk.splitting",
    "TrainedRun": "phytoscope.sdk.training",
    "draw_example": "phytoscope.sdk.examples",
    "evaluate": "phytoscope.sdk.evaluation",
    "inspect": "phytoscope.sdk.inspection",
    "package": "phytoscope.sdk.packaging",
    "read": "phytoscope.sdk.reading",
    "split": "phytoscope.sdk.splitting",
    "train": "phytoscope.sdk.training",
}

# Two functions are called like rooms of the package. Importing a room for the first time would put it under that name;
# both are imported here, which costs nothing, and their names are free again for `__getattr__`.
for _room in ("train", "evaluate"):
    importlib.import_module(f"phytoscope.{_room}")
    globals().pop(_room, None)


# Type checkers know the names from above, and would take any other for one of them.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # What needs much is imported when it is asked for, so that `import phytoscope` costs nothing.
        if name in _PLACES:
            return getattr(importlib.import_module(_PLACES[name]), name)
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
