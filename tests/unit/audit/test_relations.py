"""Columns that tell the answer, and names that tell the plant."""

import numpy as np
import pandas as pd
import pytest

from factories.tables import make_manifest
from phytoscope.audit.columns import collect_columns
from phytoscope.audit.relations import (
    find_columns_of_label,
    find_columns_of_target,
    find_name_series,
    find_plant_columns,
)
from phytoscope.schema.table import Task


@pytest.fixture
def table():
    """Fifty plants whose weight has nothing to do with two other columns."""
    rng = np.random.default_rng(0)
    manifest = make_manifest(range(50), rng.lognormal(0, 1, 50))
    return manifest.assign(**{"meta/light": rng.uniform(1, 9, 50), "meta/humidity": rng.uniform(20, 90, 50)})


@pytest.mark.parametrize(
    ("columns", "formula"),
    [
        (lambda target, _: {"again": target}, "again"),
        (lambda target, _: {"weight_mg": 1000 * target + 3}, "weight_mg"),
        (lambda target, _: {"log": np.log(target)}, "log"),
        (lambda target, part: {"shoot": part, "root": target - part}, "shoot + root"),
        (lambda target, part: {"gross": target + part, "tare": part}, "gross - tare"),
        (lambda target, part: {"length": part, "share": target / part}, "length * share"),
        (lambda target, part: {"count": part, "sum": target * part}, "sum / count"),
    ],
)
def test_formulas_of_the_target(table, columns, formula) -> None:
    """Copies, other units, logarithms, sums, differences, products and ratios are found, also with a few gaps."""
    target = table["target"].to_numpy()
    part = np.random.default_rng(1).uniform(0.1, 0.9, 50) * target + 1
    manifest = table.assign(**{f"meta/{name}": values for name, values in columns(target, part).items()})
    manifest.loc[3, f"meta/{next(iter(columns(target, part)))}"] = np.nan
    assert find_columns_of_target(manifest, collect_columns(manifest)) == [formula]


def test_strong_but_honest_columns_are_no_formula(table) -> None:
    """A leaf area with 5 % noise goes with the weight and does not tell it."""
    noise = np.random.default_rng(1).normal(1, 0.05, 50)
    manifest = table.assign(**{"meta/leaf_area": table["target"] * noise})
    assert find_columns_of_target(manifest, collect_columns(manifest)) == []


def test_few_rows_prove_nothing() -> None:
    """With five plants any two columns may add up by chance."""
    manifest = make_manifest(range(5), [1.0, 2, 3, 4, 5]).assign(**{"meta/a": [1.0, 2, 3, 4, 5]})
    assert find_columns_of_target(manifest, collect_columns(manifest)) == []


def test_columns_of_the_label() -> None:
    """A code and a camera that differ by class are named; plants, trays and notes are not."""
    labels = np.repeat(["x", "y"], 30)
    manifest = make_manifest(np.arange(60) // 2, labels, task=Task.classification).assign(
        **{
            "meta/code": np.repeat([1.0, 2.0], 30),
            "meta/camera": np.repeat(["a", "b", "c", "d"], 15),
            "meta/plant": np.arange(60) // 2,
            "meta/tray": np.arange(60) % 3,
            "meta/note": "fine",
        }
    )
    assert find_columns_of_label(manifest, collect_columns(manifest)) == ["code", "camera"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Plant ID": [1.0, 1, 2]}, ["Plant ID"]),
        ({"plant_number": [1.0, 1, 2], "experiment_id": [1.0, 1, 1]}, ["experiment_id", "plant_number"]),
        ({"plant_number": [1.0, 1, 2], "experiment_id": [1.0, 2, 1]}, []),
        ({"plant_id": ["a", "b", "c"]}, []),
        ({"plant_surface_area": [1.0, 1, 2]}, []),
    ],
)
def test_columns_that_name_the_plant(columns, expected) -> None:
    """A column for plants counts when several images share a plant; a running number needs its experiment."""
    manifest = make_manifest(range(3), [1.0, 2, 3]).assign(**{f"meta/{name}": cells for name, cells in columns.items()})
    assert find_plant_columns(collect_columns(manifest)) == expected


@pytest.mark.parametrize(
    ("names", "series"),
    [
        ([f"c/plant{plant}_{photo}.jpg" for plant in range(6) for photo in range(4)], 6),
        ([f"c/{plant}-day{photo}.jpg" for plant in range(6) for photo in range(4)], 6),
        ([f"c/leaf{chr(97 + leaf)}{mark}.jpg" for leaf in range(6) for mark in (" copy", " (1)")], 6),
    ],
)
def test_series_in_names(names, series) -> None:
    """Names that run on for each plant are a series a plant."""
    found = find_name_series(pd.DataFrame({"sample_id": names}))
    assert found is not None
    assert (found.images, found.series) == (len(names), series)
    assert len(set(found.example)) == len(found.example)


@pytest.mark.parametrize(
    "names",
    [
        [f"{label}/IMG_{number:04}.jpg" for label in "abc" for number in range(40)],
        [f"{label}/{label}_{part}_{number}.jpg" for label in "abc" for part in ("test", "val") for number in range(35)],
        [f"a/{number:016x}.jpg" for number in range(0, 10**15, 10**14 // 3)],
        ["a/1.jpg", "a/2.jpg"],
        [],
    ],
)
def test_running_numbers_are_no_series(names) -> None:
    """Numbers of a camera or of an export say nothing about the plant."""
    assert find_name_series(pd.DataFrame({"sample_id": names})) is None
