"""A comparison survives JSON, and one that is not whole is refused."""

import json

import pytest

from factories.comparisons import build_comparison
from phytoscope.errors import ArtifactError
from phytoscope.schema.comparison import Comparison
from phytoscope.schema.table import Task


@pytest.mark.parametrize("task", list(Task))
def test_comparison_survives_json(task):
    """What is written can be read back to an equal comparison."""
    comparison, _ = build_comparison(task)
    assert Comparison.from_dict(json.loads(json.dumps(comparison.to_dict(), allow_nan=False))) == comparison


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": 2}, "has format 2, this version reads 1"),
        ({"metrics": None}, "not complete"),
        ({"x": 1}, "not complete"),
    ],
)
def test_other_content_is_refused(change, text):
    """A comparison edited by hand is not taken for a whole one."""
    comparison, _ = build_comparison(Task.regression)
    with pytest.raises(ArtifactError, match=text):
        Comparison.from_dict({**comparison.to_dict(), **change})


def test_unknown_metric_is_a_key_error():
    """Nobody gets a number that is not there."""
    comparison, _ = build_comparison(Task.regression)
    with pytest.raises(KeyError, match="accuracy"):
        comparison.get_metric("accuracy")
