"""A table of what is known of images, matched by file name."""

from pathlib import Path

import pandas as pd
import pytest

from phytoscope.errors import DataValidationError
from phytoscope.models.covariates import Covariate, CovariateEncoder
from phytoscope.predict.covariate_rows import CovariateRows

ENCODER = CovariateEncoder((Covariate("age", mean=0.0, std=1.0),))


def make_rows(**ages: float) -> CovariateRows:
    """One row an image; `__` in a name stands for a slash, and the ending is added."""
    names = [name.replace("__", "/") + ".png" for name in ages]
    return CovariateRows(ENCODER, names, pd.DataFrame({"age": list(ages.values())}))


def find(rows: CovariateRows, path: str) -> float | None:
    """The age of an image; None when it is missing."""
    number, missing = rows.find(Path(path)).tolist()
    return None if missing else number


def test_name_of_the_file_is_enough() -> None:
    """A row belongs to the image wherever its folder stands."""
    rows = make_rows(a=1.0, b=2.0)
    assert (find(rows, "photos/a.png"), find(rows, "/data/b.png")) == (1.0, 2.0)


def test_folders_in_the_table_must_fit() -> None:
    """Pictures of the same name in two folders are kept apart, and the longest name wins."""
    rows = make_rows(x__a=1.0, y__a=2.0, a=3.0)
    assert [find(rows, f"/data/{folder}/a.png") for folder in "xyz"] == [1.0, 2.0, 3.0]
    assert find(make_rows(x__a=1.0), "/data/y/a.png") is None
    assert find(make_rows(a=1.0), "/data/ba.png") is None


def test_images_without_a_row_are_counted() -> None:
    """Everything is missing there, and the number is known afterwards."""
    rows = make_rows(a=1.0)
    assert [find(rows, name) for name in ("b.png", "a.png", "c.png")] == [None, 1.0, None]
    assert rows.unmatched == 2


def test_backslashes_and_spaces() -> None:
    """Names as Windows writes them."""
    rows = CovariateRows(ENCODER, [" x\\a.png "], pd.DataFrame({"age": [1.0]}))
    assert find(rows, "/data/x/a.png") == 1.0


def test_contradiction_is_refused() -> None:
    """One image with two ages; the same row twice does no harm."""
    CovariateRows(ENCODER, ["a.png", "a.png"], pd.DataFrame({"age": [1.0, 1.0]}))
    with pytest.raises(DataValidationError, match=r"two rows of the table are about the image 'a\.png' and differ"):
        CovariateRows(ENCODER, ["a.png", "a.png"], pd.DataFrame({"age": [1.0, 2.0]}))


def test_empty_table() -> None:
    """A table whose rows name no image knows nothing."""
    assert find(CovariateRows(ENCODER, [], pd.DataFrame({"age": []})), "a.png") is None
