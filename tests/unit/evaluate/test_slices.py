"""Slices are cut sensibly, and only those that truly differ are called so."""

import numpy as np
import pandas as pd
import pytest

from factories.clusters import draw_classes
from phytoscope.errors import ConfigError
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.regression import measure_regression
from phytoscope.evaluate.slices import Slice, choose_columns, cut_column, evaluate_slices
from phytoscope.evaluate.value_sums import prepare_value_rows


def judge(table, columns, n_groups=60, seed=0, harm=None):
    """Evaluate drawn answers by the columns of a table; `harm` makes the answers of some images wrong."""
    groups, true, predicted, probs = draw_classes(n_groups=n_groups, seed=seed)
    if harm is not None:
        wrong = (true + 1) % 3
        probs[harm] = 0.1
        probs[harm, wrong[harm]] = 0.8
        predicted = np.where(harm, wrong, predicted)
    sampler = GroupSampler(groups, BootstrapPlan(300))
    slices = [part for column in columns for part in cut_column(table, column)]
    metrics = measure_classification(true, predicted, probs)
    return evaluate_slices(slices, prepare_class_rows(true, predicted, probs), sampler, metrics, "accuracy")


def test_columns_of_the_photograph_and_of_few_values_are_always_cut():
    """The user's own columns count when they have 2 to 20 values, others when they are asked for."""
    table = pd.DataFrame(
        {
            "sample_id": [f"{number}.jpg" for number in range(30)],
            "meta/camera": ["phone", "slr"] * 15,
            "meta/note": [f"note {number}" for number in range(30)],
            "meta/crop": "bean",
            "photo/sharpness": np.arange(30.0),
        }
    )
    assert choose_columns(table) == ["meta/camera", "photo/sharpness"]
    assert choose_columns(table, ["note", "sharpness"]) == ["meta/note", "photo/sharpness", "meta/camera"]
    with pytest.raises(ConfigError, match="'camara', which the predictions do not have: did you mean 'camera'"):
        choose_columns(table, ["camara"])


def test_numbers_are_cut_at_quartiles():
    """Equal numbers share a slice, and the rows are dealt out completely."""
    values = np.concatenate([np.zeros(50), np.arange(1, 51)])
    slices = cut_column(pd.DataFrame({"photo/sharpness": values}), "photo/sharpness")
    assert [(part.column, part.value, len(part.rows)) for part in slices] == [
        ("sharpness", "0 to 0", 50),
        ("sharpness", "1 to 25", 25),
        ("sharpness", "26 to 50", 25),
    ]
    assert np.array_equal(np.sort(np.concatenate([part.rows for part in slices])), np.arange(100))


def test_few_numbers_are_values_in_their_order():
    """Trays 2 and 10 are trays, not quantities, and 10 follows 2."""
    slices = cut_column(pd.DataFrame({"meta/tray": [10, 2, 10, 3]}), "meta/tray")
    assert [part.value for part in slices] == ["2", "3", "10"]
    assert slices[2].rows.tolist() == [0, 2]


def test_missing_values_are_a_slice_of_their_own():
    """What nobody wrote down is not left out silently."""
    slices = cut_column(pd.DataFrame({"meta/camera": ["slr", None, "phone", None]}), "meta/camera")
    assert [(part.value, part.rows.tolist()) for part in slices] == [
        ("phone", [2]),
        ("slr", [0]),
        ("not given", [1, 3]),
    ]
    numbers = cut_column(pd.DataFrame({"photo/plant": [np.nan, *np.arange(20.0)]}), "photo/plant")
    assert numbers[-1].value == "not given"
    assert sum(len(part.rows) for part in numbers) == 21


def test_many_values_leave_the_most_frequent():
    """Nineteen values by name, the rest together; a single value is no slice."""
    values = [f"site {number:02d}" for number in range(30)] + ["site 29"] * 5
    slices = cut_column(pd.DataFrame({"meta/site": values}), "meta/site")
    assert len(slices) == 20
    assert (slices[-1].value, len(slices[-1].rows)) == ("11 other values", 11)
    assert "site 29" in [part.value for part in slices]
    assert cut_column(pd.DataFrame({"meta/site": ["here"] * 5}), "meta/site") == []


def test_a_camera_that_fails_is_found_and_its_rest_is_better():
    """A third of the plants photographed with a bad camera: worse there, and the overall number lies between."""
    camera = np.repeat(np.where(np.arange(60) % 3 == 0, "old", "new"), 10)
    harm = (camera == "old") & (np.random.default_rng(1).random(600) < 0.5)
    by_value = {row.value: row for row in judge(pd.DataFrame({"meta/camera": camera}), ["meta/camera"], harm=harm)}
    assert by_value["old"].differs
    assert by_value["old"].worse
    assert by_value["old"].difference.high < 0
    assert by_value["new"].differs
    assert not by_value["new"].worse
    assert (by_value["old"].n, by_value["old"].n_groups) == (200, 20)


def test_chance_makes_no_difference():
    """Of 20 sound models with 30 random slices each about one may have a slice that is called different, not most."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame({f"meta/{number}": rng.choice(["a", "b", "c"], 600) for number in range(10)})
        alarms += any(row.differs for row in judge(table, list(table.columns), seed=seed))
    assert alarms <= 4


def test_small_slices_are_counted_and_not_judged():
    """Nine images, or two plants, have numbers without intervals."""
    groups, true, predicted, probs = draw_classes(n_groups=20)
    sampler = GroupSampler(groups, BootstrapPlan(100))
    parts = [
        Slice("tray", "1", np.arange(0, 90, 10)),
        Slice("tray", "2", np.arange(20)),
        Slice("tray", "3", np.arange(30)),
    ]
    rows = evaluate_slices(
        parts,
        prepare_class_rows(true, predicted, probs),
        sampler,
        measure_classification(true, predicted, probs),
        "accuracy",
    )
    assert [(row.n, row.n_groups, row.difference is None) for row in rows] == [
        (9, 9, True),
        (20, 2, True),
        (30, 3, False),
    ]
    assert all(metric.low is None for row in rows[:2] for metric in row.metrics)
    assert rows[0].metrics[0].value == pytest.approx((true == predicted)[::10][:9].mean())


def test_slice_whose_deciding_number_is_not_defined_is_not_blamed():
    """Where all plants weigh the same there is no R2: the slice is reported, and neither better nor worse."""
    rng = np.random.default_rng(0)
    is_same = np.arange(120) < 60
    target = np.where(is_same, 3.0, rng.normal(3.0, 1.0, 120))
    preds = target + rng.normal(0.0, 0.2, 120)
    sampler = GroupSampler(pd.Series([f"plant {number // 2}" for number in range(120)]), BootstrapPlan(100))
    slices = cut_column(pd.DataFrame({"meta/pot": np.where(is_same, "small", "large")}), "meta/pot")
    rows, metrics = prepare_value_rows(target, preds), measure_regression(target, preds, "g")
    found = {part.value: part for part in evaluate_slices(slices, rows, sampler, metrics, "r2")}
    small = next(metric for metric in found["small"].metrics if metric.name == "r2")
    assert (small.value, small.low) == (None, None)
    assert not found["small"].differs
    assert not found["small"].worse
