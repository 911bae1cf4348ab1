"""Whether answers can be believed as far as they say, measured."""

import json

import numpy as np
import pandas as pd
import pytest

from phytoscope.evaluate.answers import judge_table, read_labelled
from phytoscope.evaluate.classification import compute_nll
from phytoscope.evaluate.trust_report import measure_trust
from phytoscope.schema.table import Task
from phytoscope.schema.trust_report import TrustReport
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.trust import Trust
from tests.factories.clustered_classes import draw_classes
from tests.factories.clustered_numbers import draw_plants

NAMES = ["healthy", "rust", "scab", "rot"]
WISHES = TrustWishes(error_rate=0.1, coverage=0.9)


def make_classes(n=300, seed=0) -> pd.DataFrame:
    """Table 7 with calibration, val and test rows of classes, too sure of themselves by a factor of 2."""
    parts = []
    for number, split in enumerate(("val", "calibration", "test")):
        rows = draw_classes(np.random.default_rng(seed + number), n, 4, temperature=2.0, per_group=2, spread=0.2)
        table = pd.DataFrame(rows.observed.answers, columns=[f"prob/{name}" for name in NAMES])
        table["group_id"] = [f"{split} {group}" for group in rows.groups]
        parts.append(
            table.assign(split=split, label=[NAMES[i] for i in rows.truth], novelty=np.linspace(0, 1, len(table)))
        )
    return pd.concat(parts, ignore_index=True)


def make_numbers(n_plants=40, seed=0) -> pd.DataFrame:
    """Table 7 with calibration, val and test rows of numbers."""
    parts = []
    for number, split in enumerate(("val", "calibration", "test")):
        rows = draw_plants(seed + number, n_plants, errors="answer")
        parts.append(
            pd.DataFrame(
                {
                    "prediction": rows.observed.answers[:, 0],
                    "target": rows.truth[:, 0],
                    "group_id": rows.groups,
                    "novelty": rows.observed.novelty,
                    "split": split,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def measure(table, task, wishes=WISHES, spoil=None, draws=100):
    """Fits, judges and measures the test rows; `spoil` changes their truth before they are measured."""
    names = NAMES if task is Task.classification else []
    parts = [read_labelled(table[table["split"] == split], task, names) for split in ("calibration", "val")]
    trust = fit_trust(task, *parts, wishes)
    test = table[table["split"] == "test"].reset_index(drop=True)
    answers = judge_table(test, trust, names)
    if spoil is not None:
        test, answers = spoil(test), spoil(answers)
    units = {} if task is Task.classification else {"fresh weight": "g"}
    report = measure_trust(test, answers, trust, wishes, class_names=names, units=units, seed=0, draws=draws)
    return report, answers, trust


def test_calibration_before_and_after() -> None:
    """Before and after are those of the raw and of the calibrated probabilities."""
    table = make_classes()
    report, answers, trust = measure(table, Task.classification)
    truth = pd.Index(NAMES).get_indexer(answers["label"])
    columns = [f"prob/{name}" for name in NAMES]
    test = table.loc[table["split"] == "test", columns].to_numpy()
    assert report.calibration.temperature == trust.calibration.temperature
    assert report.calibration.before["nll"] == pytest.approx(compute_nll(truth, test))
    assert report.calibration.after["nll"] == pytest.approx(compute_nll(truth, answers[columns].to_numpy()))
    assert report.calibration.after["ece"] < report.calibration.before["ece"]
    assert sum(entry.n for entry in report.calibration.bins_after) == len(answers)


def test_sets_are_counted() -> None:
    """Coverage, sizes and promise are those of the sets in the table, and coverage lies near the promise."""
    report, answers, _ = measure(make_classes(), Task.classification)
    held = [label in json.loads(text) for label, text in zip(answers["label"], answers["set"], strict=True)]
    overall = report.sets.rows[0]
    assert overall.coverage == pytest.approx(np.mean(held))
    assert overall.size == pytest.approx(answers["set_size"].mean())
    assert overall.low <= overall.coverage <= overall.high
    assert [row.name for row in report.sets.rows if row.what == "class"] == NAMES
    assert report.sets.sizes == answers["set_size"].value_counts().sort_index().to_dict()
    assert report.sets.promised == report.sets.wanted == 0.9
    assert overall.coverage == pytest.approx(0.9, abs=0.06)


def test_verdicts_are_counted() -> None:
    """Shares, errors and reasons are those of the table."""
    report, answers, trust = measure(make_classes(), Task.classification)
    verdicts, wrong = report.verdicts, answers["label"] != answers["prediction"]
    for verdict in Verdict:
        rows = answers["verdict"] == verdict.value
        assert verdicts.shares[verdict.value] == pytest.approx(rows.mean())
        expected = wrong[rows].mean() if rows.any() else None
        assert verdicts.errors[verdict.value] == (None if expected is None else pytest.approx(expected))
    assert verdicts.errors["all"] == pytest.approx(wrong.mean())
    assert verdicts.accepted_low <= verdicts.errors["accept"] <= verdicts.accepted_high
    assert verdicts.reasons["unsure"] == pytest.approx((answers["probability"] < trust.limits.least_probability).mean())
    assert sum(verdicts.shares.values()) == pytest.approx(1.0)
    assert verdicts.wanted_error == 0.1
    assert 0 < verdicts.answered_at["0.1"] <= 1.0
    assert verdicts.answered_at["0.01"] <= verdicts.answered_at["0.05"] <= verdicts.answered_at["0.1"]
    assert trust.remarks == tuple(report.remarks)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("missing", ["column", "values"])
def test_unknown_truth_leaves_verdicts_only(task, missing) -> None:
    """A set whose truth nobody knows gets verdicts and reasons, and nothing that would need the truth."""
    column = "label" if task is Task.classification else "target"

    def spoil(table):
        return table.drop(columns=column) if missing == "column" else table.assign(**{column: None})

    table = make_classes() if task is Task.classification else make_numbers()
    known, _, _ = measure(table, task)
    report, _, _ = measure(table, task, spoil=spoil)
    assert report.verdicts.shares == known.verdicts.shares
    assert report.verdicts.reasons == known.verdicts.reasons
    assert set(report.verdicts.errors.values()) == {None}
    assert report.verdicts.curve == []
    assert report.verdicts.answered_at == {}
    assert (report.calibration, report.sets, report.intervals) == (None, None, [])
    assert (report.verdicts.accepted_low, report.verdicts.accepted_high) == (None, None)


def test_partly_known_truth_counts_where_it_is_known() -> None:
    """Errors are of the rows with a truth, shares of all rows."""
    table = make_classes()
    report, answers, _ = measure(
        table, Task.classification, spoil=lambda part: part.assign(label=part["label"].where(part.index % 3 == 0))
    )
    some = answers["label"].notna()
    assert report.verdicts.n == len(answers)
    assert report.verdicts.errors["all"] == pytest.approx((answers["label"] != answers["prediction"])[some].mean())
    assert report.sets.rows[0].n == some.sum()


def test_answers_for_foreign_classes_are_wrong() -> None:
    """A label that is none of the model's classes makes the answer wrong, and says nothing of sets."""
    report, answers, _ = measure(
        make_classes(), Task.classification, spoil=lambda part: part.assign(label=part["label"].replace("rot", "mite"))
    )
    foreign = answers["label"] == "mite"
    assert foreign.any()
    assert report.verdicts.errors["all"] == pytest.approx((answers["label"] != answers["prediction"]).mean())
    assert report.sets.rows[0].n == (~foreign).sum()


def test_intervals_of_numbers_are_counted() -> None:
    """Coverage and width are those of the table, by deciles of the true value, beside one width for all."""
    report, answers, trust = measure(make_numbers(), Task.regression)
    (interval,) = report.intervals
    held = answers["target"].between(answers["lower"], answers["upper"])
    overall = interval.rows[0]
    assert (interval.target, interval.unit, interval.kind) == ("fresh weight", "g", trust.intervals[0].kind.value)
    assert overall.coverage == pytest.approx(held.mean())
    assert overall.size == pytest.approx((answers["upper"] - answers["lower"]).mean())
    deciles = [row for row in interval.rows if row.what == "decile"]
    assert len(deciles) == 10
    assert sum(row.n for row in deciles) == len(answers)
    off = (answers["target"] - answers["prediction"]).abs()
    assert (off <= interval.constant_width / 2 + 1e-12).sum() == held.sum()


def test_numbers_without_a_tolerance_have_mean_errors() -> None:
    """Without a tolerance errors are mean absolute ones, no rate is wanted, and the curve tells widths."""
    report, answers, _ = measure(make_numbers(), Task.regression)
    off = (answers["target"] - answers["prediction"]).abs()
    verdicts = report.verdicts
    assert verdicts.errors["all"] == pytest.approx(off.mean())
    assert verdicts.wanted_error is None
    assert verdicts.answered_at == {}
    assert all(point.threshold > 0 for point in verdicts.curve)


@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_numbers_with_a_tolerance_are_right_or_wrong(tolerance) -> None:
    """With a tolerance, one of 0 included, an answer is right or wrong."""
    wishes = TrustWishes(error_rate=0.2, tolerance=tolerance)
    report, answers, _ = measure(make_numbers(), Task.regression, wishes)
    off = (answers["target"] - answers["prediction"]).abs()
    assert report.verdicts.errors["all"] == pytest.approx((off > tolerance).mean())
    assert report.verdicts.wanted_error == 0.2
    if tolerance == 0.0:
        assert report.verdicts.shares["accept"] == 0.0


@pytest.mark.parametrize("task", list(Task))
def test_report_survives_json(task) -> None:
    """What is written to JSON comes back as the same report, also without draws."""
    report, _, _ = measure(make_classes() if task is Task.classification else make_numbers(), task, draws=0)
    assert TrustReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert report.verdicts.accepted_low is None


def test_same_seed_gives_the_same_report() -> None:
    """The draws follow the seed."""
    table = make_classes(120)
    assert measure(table, Task.classification)[0] == measure(table, Task.classification)[0]


def test_answers_without_sets_have_no_row_of_sets() -> None:
    """Calibration and verdicts are measured; what was not promised is not counted."""
    table = make_classes(60)
    test = table[table["split"] == "test"].reset_index(drop=True)
    trust = Trust(Task.classification)
    answers = judge_table(test, trust, NAMES)
    report = measure_trust(test, answers, trust, WISHES, class_names=NAMES, units={}, seed=0, draws=0)
    assert report.sets is None
    assert sum(report.verdicts.shares.values()) == pytest.approx(1.0)
