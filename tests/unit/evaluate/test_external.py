"""Numbers of a further set, whatever is known of its images."""

import numpy as np
import pandas as pd
import pytest

from factories.predictions import add_more_targets, make_classification, make_regression
from factories.trust import make_trust
from phytoscope.evaluate.answers import judge_table
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.external import ExternalScale, measure_external
from phytoscope.schema.external import ExternalReport
from phytoscope.schema.table import Task
from phytoscope.trust.fit import TrustWishes

NAMES = ["healthy", "rust", "scab"]
ABOUT = ExternalReport("field", "field/", 0, 0, 0, 0)


def measure(table: pd.DataFrame, task: Task, units=None, draws=50) -> ExternalReport:
    """Judges drawn answers and measures them as a further set."""
    names = NAMES if task is Task.classification else []
    trust = make_trust(task, targets=len(units or [1]))
    scale = ExternalScale(trust, TrustWishes(), names, units or {}, BootstrapPlan(draws))
    return measure_external(ABOUT, table, judge_table(table, trust, names, list(units or [])[1:]), scale)


@pytest.fixture
def weights() -> pd.DataFrame:
    """The test rows of a weight with one further target."""
    table, train, _ = make_regression()
    table, _ = add_more_targets(table, train, ["leaves"])
    return table[table["split"] == "test"].reset_index(drop=True)


@pytest.mark.parametrize("draws", [0, 50])
def test_intervals_stand_where_they_are_asked_for(draws) -> None:
    """Without draws the same numbers stand alone."""
    table, _, _ = make_classification(NAMES)
    table = table[table["split"] == "test"].reset_index(drop=True)
    report = measure(table.assign(given_label=table["label"]), Task.classification, draws=draws)
    assert report.metric("accuracy").value == pytest.approx((table["label"] == table["prediction"]).mean())
    assert (report.metric("accuracy").low is None) == (draws == 0)
    assert [row.name for row in report.classes] == NAMES
    assert all((row.recall_low is None) == (draws == 0) for row in report.classes)


def test_target_that_nobody_knows_there_has_no_numbers(weights) -> None:
    """A further target without any true value is left out; the others are measured."""
    units = {"fresh_weight": "g", "leaves": ""}
    assert set(measure(weights, Task.regression, units).more_targets) == {"leaves"}
    report = measure(weights.assign(**{"target/leaves": np.nan}), Task.regression, units)
    assert report.more_targets == {}
    assert report.metric("rmse").value is not None


def test_set_without_true_values_is_judged_only(weights) -> None:
    """Verdicts are counted, and no metric is made of nothing."""
    report = measure(weights.assign(target=np.nan), Task.regression, {"fresh_weight": "g", "leaves": ""})
    assert (report.n, report.n_labelled, report.metrics) == (len(weights), 0, [])
    assert sum(report.trust.verdicts.shares.values()) == pytest.approx(1.0)
