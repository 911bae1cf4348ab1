"""Names of the inputs and outputs of an exported network."""

from collections.abc import Sequence
from typing import Final

INPUT_NAME: Final = "images"
COVARIATES_NAME: Final = "covariates"
OUTPUT_NAME: Final = "outputs"
FEATURES_NAME: Final = "features"


class ForeignGraphError(ValueError):
    """An exported network takes or gives something else than this version reads."""


def check_names(given: Sequence[str], gives: Sequence[str]) -> None:
    """Makes sure that an exported network has the inputs and outputs that engines need.

    Args:
        given: Names of its inputs, in their order.
        gives: Names of its outputs.

    Raises:
        ForeignGraphError: It has not. Packages of format 1 hold ONNX files that give no features.
    """
    known = ([INPUT_NAME], [INPUT_NAME, COVARIATES_NAME])
    if list(given) not in known or list(gives) != [OUTPUT_NAME, FEATURES_NAME]:
        message = f"the exported network takes {list(given)} and gives {list(gives)}"
        raise ForeignGraphError(message)
