"""How often answers were right is counted by model and verdict."""

import datetime as dt
import json
import math

import pytest
from scipy import stats as scipy_stats

from factories.records import BEGAN, make_feedback, make_prediction, make_weight
from phytoscope.api.records.reading import Wanted
from phytoscope.api.records.stats import Share, tell_stats


def by_verdict(rows, name, target=None):
    return {row.verdict: row for row in rows if row.model_name == name and row.target == target}


def test_classes(told):
    """Right and covered answers are counted for each verdict, and for all together."""
    rows = by_verdict(tell_stats(told.database, Wanted()), "leaves")
    assert {verdict: row.answered for verdict, row in rows.items()} == {"accept": 3, "review": 1, "none": 1, "all": 5}
    assert rows["accept"].right == Share(1, 2)
    assert rows["accept"].covered == Share(1, 2)
    assert rows["review"].right == Share(0, 1)
    assert rows["review"].covered == Share(1, 1)
    assert rows["none"].judged == 0
    assert (rows["all"].right, rows["all"].covered, rows["all"].judged) == (Share(1, 3), Share(2, 3), 3)
    assert rows["all"].mae is None
    assert list(rows) == ["accept", "review", "none", "all"]


def test_numbers(told):
    """Errors of each number are averaged in its own unit, and intervals that hold the truth counted."""
    rows = tell_stats(told.database, Wanted())
    weight, leaves = by_verdict(rows, "plants")["all"], by_verdict(rows, "plants", "leaves")["all"]
    assert (weight.mae, weight.unit, weight.covered) == (2.0, "g", Share(1, 2))
    assert (leaves.mae, leaves.unit, leaves.covered, leaves.answered) == (3.0, "", Share(0, 1), 2)


def test_choice(told):
    """Only the model and the time that were asked for are counted."""
    rows = tell_stats(told.database, Wanted(model="plants", since=BEGAN + dt.timedelta(minutes=7)))
    assert {(row.verdict, row.target): (row.answered, row.mae) for row in rows} == {
        ("accept", None): (1, 3.0),
        ("all", None): (1, 3.0),
    }


def test_number_that_the_model_did_not_give(ledger):
    """Truth of a number that was not predicted counts nowhere, and an answer without an interval has no coverage."""
    ledger.add_predictions([make_weight(0, lower=None, upper=None)])
    ledger.add_feedback(make_feedback(0, about=0, value=3.0, target="height"))
    ledger.add_feedback(make_feedback(1, about=0, value=9.0))
    rows = tell_stats(ledger.database, Wanted())
    assert by_verdict(rows, "leaves", "height")["all"].judged == 0
    assert (by_verdict(rows, "leaves")["all"].mae, by_verdict(rows, "leaves")["all"].covered.total) == (1.0, 0)


@pytest.mark.parametrize(("hits", "total"), [(0, 1), (1, 3), (90, 100), (5, 5)])
def test_range_of_a_share(hits, total):
    """The range is Wilson's, as scipy computes it."""
    expected = scipy_stats.binomtest(hits, total).proportion_ci(0.95, "wilson")
    assert Share(hits, total).range() == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_share_of_nothing():
    """Nothing is known of a share of nothing."""
    assert math.isnan(Share(0, 0).value)
    assert Share(0, 0).range() == (0.0, 1.0)


def test_answer_without_a_set_has_no_coverage(ledger):
    """It is right or wrong, and held nothing."""
    ledger.add_predictions([make_prediction(0, answer=json.dumps({"label": "rust"}))])
    ledger.add_feedback(make_feedback(0, about=0, label="rust"))
    row = by_verdict(tell_stats(ledger.database, Wanted()), "leaves")["all"]
    assert (row.right, row.covered.total) == (Share(1, 1), 0)
