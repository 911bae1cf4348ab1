"""Tests of what the training benchmark rests on: its split, its clock, and what it reads off the curves."""

import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "train"
POINTS = [{"seconds": 10.0, "accuracy": 0.7}, {"seconds": 20.0, "accuracy": 0.9}, {"seconds": 30.0, "accuracy": 0.8}]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


@pytest.fixture
def curve(load, tmp_path):
    pytest.importorskip("psutil")
    pytest.importorskip("fastai")
    return load("measuring").Curve("peer", time.time(), tmp_path / "peer.json")


def test_split_never_tears_a_leaf(load):
    """All photographs of a leaf stand in one part, and each part gets about its share."""
    leaves = pd.Series(np.repeat([f"Apple___healthy:::{number}" for number in range(40)], 5))
    parts = load("splitting").draw_class(leaves, 0.2, 0.1, np.random.default_rng(0))
    assert parts.groupby(leaves).nunique().max() == 1
    assert parts.value_counts().to_dict() == {"train": 140, "test": 40, "val": 20}


def test_split_keeps_back_the_last_photo_series(load):
    """Without a leaf map, every test block has higher photo numbers than every other block."""
    leaves = pd.Series(np.repeat([f"Corn___rust/rs_rust/{number}" for number in range(900, 1900, 50)], 7))
    parts = load("splitting").draw_class(leaves, 0.2, 0.1, np.random.default_rng(0))
    numbers = leaves.str.rsplit("/").str[-1].astype(int)
    assert numbers[parts == "test"].min() > numbers[parts != "test"].max()


def test_split_is_the_same_each_time(load):
    """The draw depends on the seed alone."""
    leaves = pd.Series(np.repeat([f"Apple___healthy:::{number}" for number in range(40)], 5))
    draw_class = load("splitting").draw_class
    first, second, other = (draw_class(leaves, 0.2, 0.1, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.equals(second)
    assert not first.equals(other)


def test_clock_stands_while_the_test_part_is_looked_at(curve):
    """A point bears the time at which the look began, and the look itself never counts."""
    with curve.looking("epoch 1", ["a", "b"]) as answers:
        time.sleep(0.3)
        answers.extend(["a", "a"])
    assert curve.points[0]["seconds"] <= curve.seconds < 0.3
    assert curve.points[0]["accuracy"] == pytest.approx(0.5)


def test_macro_f1_counts_classes_alike(load):
    """A rare class that is never found costs as much as a frequent one."""
    pytest.importorskip("psutil")
    accuracy, macro_f1 = load("measuring").score(["a"] * 9 + ["b"], ["a"] * 10)
    assert accuracy == pytest.approx(0.9)
    assert macro_f1 == pytest.approx((18 / 19 + 0) / 2)


@pytest.mark.parametrize(("accuracy", "seconds"), [(0.7, 10), (0.75, 20), (0.95, None)])
def test_time_to_accuracy_is_the_first_point_that_has_it(load, accuracy, seconds):
    """A later fall does not matter; an accuracy that was never reached has no time."""
    assert load("tabling").time_to(POINTS, accuracy) == seconds


def test_unfinished_yardstick_measures_nothing(load):
    """Ratios to a method that was stopped would flatter all others."""
    find_yardstick = load("tabling").find_yardstick
    result = {"method": "fastai", "state": "running", "points": POINTS}
    assert find_yardstick([result]) is None
    assert find_yardstick([result | {"state": "finished"}]) == (0.8, 30.0)
