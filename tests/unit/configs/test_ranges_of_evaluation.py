"""Settings of the evaluation that are for the other task are refused, instead of doing nothing."""

import pytest

from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError

NUMBERS = ["data=table", "data.table=t.csv", "data.images=images", "data.target=weight"]


@pytest.mark.parametrize(
    "word",
    [
        "evaluate.sets=lac",
        "evaluate.class_conditional=true",
        "evaluate.calibration=vector",
        "evaluate.novelty=energy",
    ],
)
def test_settings_for_classes(word) -> None:
    """With numbers to predict there are no classes to make sets of or to calibrate."""
    compose_config(["data=folder", word])
    with pytest.raises(ConfigError, match=f"{word} is for classes, but numbers are learned here"):
        compose_config([*NUMBERS, word])


@pytest.mark.parametrize("word", ["evaluate.tolerance=1.0", "evaluate.intervals=cqr"])
def test_settings_for_numbers(word) -> None:
    """With classes to predict there is no error in a unit, and no interval."""
    compose_config([*NUMBERS, word])
    with pytest.raises(ConfigError, match=f"{word} is for numbers, but classes are learned here"):
        compose_config(["data=folder", word])
