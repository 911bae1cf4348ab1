"""What a table of answers holds that could drift."""

import pandas as pd
import pytest

from phytoscope.evaluate.drift.columns import list_comparable


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"probability": [0.9, None]}, {"confidence"}),
        ({"lower": [1.0, 2.0], "upper": [2.0, 3.0]}, {"confidence"}),
        ({"lower": [1.0, 2.0]}, set()),
        ({"probability": [None, None], "photo/sharpness": [1.0, 2.0], "meta/camera": ["a", "b"]}, {"photo/sharpness"}),
        ({"prediction": ["a", "b"], "verdict": [None, None]}, {"prediction"}),
    ],
)
def test_only_what_has_values_is_compared(columns, expected):
    """Confidence needs probabilities or both ends of intervals; a column of nothing is no column."""
    assert list_comparable(pd.DataFrame(columns)) == expected


def test_rows_that_are_meant_decide():
    """A value in another row does not count."""
    table = pd.DataFrame({"novelty": [0.5, None]})
    assert list_comparable(table, pd.Series([True, False]).to_numpy()) == {"novelty"}
    assert list_comparable(table, pd.Series([False, True]).to_numpy()) == set()
