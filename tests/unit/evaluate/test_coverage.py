"""How often sets and intervals held the truth."""

import numpy as np
import pytest

from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.coverage import WORST_GROUPS, describe_coverage

PLAN = BootstrapPlan(200, 0.95, 0)


def describe(held, size, groups, kinds, names, plan=PLAN):
    return describe_coverage(
        np.asarray(held),
        np.asarray(size, dtype=np.float64),
        np.asarray(groups, dtype=object),
        what="class",
        kinds=np.asarray(kinds),
        names=names,
        plan=plan,
    )


def test_rows_by_hand() -> None:
    """All images, each class that occurs, then the groups that miss something."""
    held = [True, False, True, True, False, False]
    rows = describe(held, [1, 2, 3, 1, 1, 2], list("aabbcc"), [0, 0, 0, 2, 2, 2], ["x", "y", "z"])
    found = [(row.what, row.name, row.n, row.n_groups, row.coverage, row.size) for row in rows]
    assert found == [
        ("all", "all", 6, 3, 0.5, pytest.approx(10 / 6)),
        ("class", "x", 3, 2, pytest.approx(2 / 3), 2.0),
        ("class", "z", 3, 2, pytest.approx(1 / 3), pytest.approx(4 / 3)),
        ("group", "c", 2, 1, 0.0, 1.5),
        ("group", "a", 2, 1, 0.5, 1.5),
    ]


def test_intervals_lie_around_the_coverage() -> None:
    """Each interval holds its coverage, and by groups it is wider than if every image stood alone."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 20)
    held = np.repeat(rng.random(40) < 0.8, 20)
    kinds = rng.integers(0, 3, 800)
    rows = describe(held, np.ones(800), groups, kinds, ["x", "y", "z"])
    alone = describe(held, np.ones(800), np.arange(800), kinds, ["x", "y", "z"])
    for row, single in zip(rows[:4], alone[:4], strict=True):
        assert row.low < row.coverage < row.high
        assert row.high - row.low > 2 * (single.high - single.low)


def test_without_draws_there_are_no_intervals() -> None:
    """With 0 draws, or one group, coverage is told without an interval."""
    for plan, groups in ((BootstrapPlan(0), [0, 1, 2]), (PLAN, [0, 0, 0])):
        row = describe([True, True, False], np.ones(3), groups, [0, 0, 0], ["x"], plan)[0]
        assert (row.low, row.high) == (None, None)
        assert row.coverage == pytest.approx(2 / 3)


def test_few_worst_groups_are_named() -> None:
    """At most five groups are named, the least held first, and none of a single image."""
    groups = np.repeat(np.arange(30), 4).tolist() + list(range(100, 140))
    held = np.tile([True, True, True, False], 30).tolist() + [False] * 40
    rows = [row for row in describe(held, np.ones(160), groups, np.zeros(160, dtype=int), ["x"]) if row.what == "group"]
    assert len(rows) == WORST_GROUPS
    assert all(row.n == 4 and row.coverage == 0.75 for row in rows)
