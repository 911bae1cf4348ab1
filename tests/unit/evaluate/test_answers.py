"""From raw answers to judged ones."""

import json

import numpy as np
import pandas as pd
import pytest

from phytoscope.errors import DataValidationError
from phytoscope.evaluate.answers import judge_table, read_labelled, read_observed
from phytoscope.schema.choices import SetKind
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import Reason, Verdict
from phytoscope.trust.calibration import Calibration
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.sets import SetRule
from phytoscope.trust.trust import Trust
from tests.factories.predictions import LONG_CLASS_NAMES, make_classification, make_regression


def judge_classes(n_per_class=20, names=LONG_CLASS_NAMES):
    table, _, _ = make_classification(names, n_per_class)
    table = table.assign(novelty=np.linspace(0, 1, len(table)), **{"photo/sharpness": 5.0})
    parts = [
        read_labelled(table[table["split"] == split], Task.classification, names) for split in ("calibration", "val")
    ]
    trust = fit_trust(Task.classification, *parts, TrustWishes())
    return table, trust, judge_table(table, trust, names)


def test_rows_and_columns_of_the_table_are_kept() -> None:
    """Every row stays in its place with all it had."""
    table, _, answers = judge_classes()
    assert answers.index.equals(table.index)
    for column in ("sample_id", "group_id", "split", "label", "novelty", "photo/sharpness", "model_id"):
        pd.testing.assert_series_equal(answers[column], table[column])


def test_columns_agree_with_each_other() -> None:
    """Answer, probability, set and its size say the same, and reasons decide the verdict."""
    _, trust, answers = judge_classes()
    probs = answers[[f"prob/{name}" for name in LONG_CLASS_NAMES]].to_numpy()
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    np.testing.assert_allclose(answers["probability"], probs.max(axis=1))
    assert answers["prediction"].tolist() == [LONG_CLASS_NAMES[i] for i in probs.argmax(axis=1)]
    sets = [json.loads(text) for text in answers["set"]]
    assert [len(names) for names in sets] == answers["set_size"].tolist()
    assert all(answer in names for answer, names in zip(answers["prediction"], sets, strict=True))
    accepted = answers["verdict"] == Verdict.accept
    assert accepted.any()
    assert (answers.loc[accepted, "reasons"] == "").all()
    assert (answers.loc[~accepted, "reasons"] != "").all()
    unsure = answers["reasons"].str.split().map(lambda reasons: Reason.unsure in reasons)
    assert (unsure == (answers["probability"] < trust.limits.least_probability)).all()


@pytest.mark.parametrize("n_classes", [2, 8, 9, 64, 65, 130])
def test_sets_are_named_rightly_for_any_number_of_classes(n_classes) -> None:
    """The words of each set are its classes, however many there are."""
    rng = np.random.default_rng(0)
    names = [f"class {i}" for i in range(n_classes)]
    probs = rng.dirichlet(np.ones(n_classes), 50)
    table = pd.DataFrame(probs, columns=[f"prob/{name}" for name in names])
    trust = Trust(Task.classification, Calibration(), SetRule(SetKind.aps, (0.7,), 0.9))
    sets = [json.loads(text) for text in judge_table(table, trust, names)["set"]]
    expected = [[names[i] for i in np.flatnonzero(row)] for row in trust.sets.choose(probs)]
    assert sets == expected


def test_intervals_of_numbers() -> None:
    """Numbers get both ends and a verdict, and keep their answers."""
    table, _, _ = make_regression(120)
    parts = [read_labelled(table[table["split"] == split], Task.regression, []) for split in ("calibration", "val")]
    trust = fit_trust(Task.regression, *parts, TrustWishes(lowest=(0.0,)))
    answers = judge_table(table, trust, [])
    pd.testing.assert_series_equal(answers["prediction"], table["prediction"])
    assert (answers["lower"] >= 0).all()
    assert (answers["lower"] <= answers["prediction"]).all()
    assert (answers["upper"] >= answers["prediction"]).all()
    assert set(answers["verdict"]) <= {verdict.value for verdict in Verdict}


def test_unknown_class_is_told() -> None:
    """A true class that the model does not know is an error that names it."""
    table, _, _ = make_classification()
    with pytest.raises(DataValidationError, match="'scab'"):
        read_labelled(table, Task.classification, ["healthy", "rust"])


def test_missing_novelty_is_not_measured() -> None:
    """A table without novelty and photograph columns is read as not measured."""
    table, _, _ = make_classification()
    observed = read_observed(table, Task.classification, ["healthy", "rust", "scab"])
    assert np.isnan(observed.novelty).all()
    assert observed.photo == {}
    assert observed.answers.flags["C_CONTIGUOUS"]


def test_model_without_sets_names_none() -> None:
    """Probabilities are calibrated and judged, and no column of sets is made up."""
    table, _, _ = make_classification()
    answers = judge_table(table, Trust(Task.classification, Calibration()), ["healthy", "rust", "scab"])
    assert not {"set", "set_size"} & set(answers)
    assert {"prediction", "probability", "verdict"} <= set(answers)
