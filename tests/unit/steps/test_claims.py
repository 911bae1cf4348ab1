"""What must hold before the next step: each claim with data for which it holds, and with a fault that it must find."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factories.beliefs import make_verdicts
from factories.reports import build_classification, build_regression
from phytoscope.configs import compose_config
from phytoscope.errors import ArtifactError
from phytoscope.evaluate.reliability import draw_reliability, measure_calibration
from phytoscope.schema.drift import DriftFinding, DriftKind, DriftReport, LookWindow
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Task
from phytoscope.schema.trust_report import (
    CalibrationReport,
    CoverageRow,
    IntervalReport,
    ReliabilityBin,
    SetReport,
    TrustReport,
)
from phytoscope.steps.claims import (
    claim_beats_baseline,
    claim_calibrated,
    claim_covers,
    claim_loss_finite,
    claim_no_drift,
    claim_no_group_torn,
    claim_rows_and_labels,
    claim_targets_in_range,
)
from phytoscope.steps.survey import Survey
from phytoscope.visualize.figures import shown_split

LEAVES = Survey("a" * 64, Task.classification, "class", "", 10, 10, 0, 10, 5, 0, {"healthy": 6, "rust": 4})
PLANTS = Survey("a" * 64, Task.regression, "weight", "g", 10, 10, 0, 9, 5, 0, {}, 0.5, 12.0)
FOLDER = ["data=folder", "data.root=/leaves"]
TABLE = ["data=table", "data.table=/t.csv", "data.images=/i", "data.target=weight"]


def make_run(place: Path, **changes) -> RunFolder:
    """A prepared run of eight leaves of four plants, each plant in one split; columns can be replaced."""
    split = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    manifest = pd.DataFrame(
        {
            "sample_id": [f"{number}.jpg" for number in range(8)],
            "sha256": [f"{number:064}" for number in range(8)],
            "label": ["healthy", "rust"] * 4,
            "target": np.arange(8, dtype=float),
            "group_id": [f"plant {number // 2}" for number in range(8)],
        }
    )
    table = pd.DataFrame({"sample_id": manifest["sample_id"], "group_id": manifest["group_id"], "split": split})
    for name, values in changes.items():
        for frame in (manifest, table):
            if name in frame and not (name == "sample_id" and frame is manifest):
                frame[name] = values
    run = RunFolder(place)
    place.mkdir(exist_ok=True)
    manifest.to_parquet(run.manifest)
    table.to_parquet(run.split)
    return run


@pytest.mark.parametrize("survey", [LEAVES, PLANTS], ids=["classes", "numbers"])
def test_rows_and_labels(survey):
    """Good data pass, with their numbers."""
    claim = claim_rows_and_labels(survey)
    assert claim.holds
    assert claim.measured["rows"] == 10
    assert claim.measured["missing_share"] == 0.0


@pytest.mark.parametrize(
    ("survey", "said"),
    [
        (dataclasses.replace(LEAVES, images=0, missing=10), "none of the images"),
        (dataclasses.replace(LEAVES, labelled=0, classes={}), "none of the 10 rows has a value in 'class'"),
        (dataclasses.replace(LEAVES, classes={"healthy": 10}), "the same class"),
        (dataclasses.replace(LEAVES, missing=6, images=4), "6 of 10 images are missing"),
        (dataclasses.replace(PLANTS, largest=0.5), "the same weight"),
        (dataclasses.replace(PLANTS, labelled=0, smallest=None, largest=None), "none of the 10 rows has a value"),
    ],
)
def test_rows_and_labels_missing(survey, said):
    """Each way in which data cannot be learned from is found and said."""
    claim = claim_rows_and_labels(survey)
    assert not claim.holds
    assert said in claim.text


def test_missing_images_up_to_half_are_for_the_list_of_rejected_rows():
    """A gap is not a wrong folder."""
    assert claim_rows_and_labels(dataclasses.replace(LEAVES, missing=5)).holds


def test_groups_in_one_split(tmp_path):
    """A split by group passes."""
    claim = claim_no_group_torn(make_run(tmp_path))
    assert claim.holds
    assert claim.measured["groups"] == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group_id": ["plant 0"] * 5 + ["plant 1"] * 3}, "belong to the group 'plant 0'"),
        ({"sha256": ["0" * 64] * 8}, "copies of the same file"),
        ({"sample_id": ["other.jpg", *(f"{number}.jpg" for number in range(1, 8))]}, "2 images stand in one table"),
        ({"sample_id": ["1.jpg", *(f"{number}.jpg" for number in range(1, 8))]}, "1 stand in the split twice"),
    ],
    ids=["group", "copy", "foreign", "twice"],
)
def test_torn_groups_are_found(tmp_path, changes, said):
    """A plant or a copy on both sides, or a split of other images, fails."""
    claim = claim_no_group_torn(make_run(tmp_path, **changes))
    assert not claim.holds
    assert said in claim.text


def test_tables_that_are_not_there_are_an_error(tmp_path):
    """Nothing is claimed of a missing table."""
    run = RunFolder(tmp_path)
    for claim in (claim_no_group_torn, claim_loss_finite):
        with pytest.raises(ArtifactError):
            claim(run)
    with pytest.raises(ArtifactError):
        claim_targets_in_range(run, compose_config(TABLE))


def test_targets_in_range(tmp_path):
    """Numbers within the limits pass, with both in the values."""
    config = compose_config([*TABLE, "data.target_min=0", "data.target_max=7"])
    claim = claim_targets_in_range(make_run(tmp_path, label=None), config)
    assert claim.holds
    assert (claim.measured["smallest"], claim.measured["largest"]) == (0.0, 7.0)
    assert (claim.measured["lower_limit"], claim.measured["upper_limit"]) == (0.0, 7.0)


@pytest.mark.parametrize(
    ("words", "values", "outside"),
    [
        (["data.target_max=6.5"], None, 1),
        (["data.target_min=2"], None, 2),
        ([], [np.nan, *range(7)], 1),
        ([], [np.inf, *range(7)], 1),
    ],
    ids=["above", "below", "missing", "infinite"],
)
def test_targets_out_of_range(tmp_path, words, values, outside):
    """A number beyond a limit, or none at all, fails."""
    changes = {} if values is None else {"target": values}
    claim = claim_targets_in_range(make_run(tmp_path, label=None, **changes), compose_config([*TABLE, *words]))
    assert not claim.holds
    assert claim.measured["outside"] == outside


def test_classes_are_all_in_training(tmp_path):
    """Classes that the training images show pass."""
    claim = claim_targets_in_range(make_run(tmp_path), compose_config(FOLDER))
    assert claim.holds
    assert claim.measured["classes_in_training"] == 2


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["healthy", "rust"] * 3 + ["healthy", "scab"], "1 classes are not in training ('scab')"),
        (["healthy", "rust"] * 3 + ["healthy", None], "1 images have no class"),
        (["rust"] * 8, "; 1 are"),
    ],
)
def test_classes_that_are_not_in_training(tmp_path, labels, said):
    """A class only in test, a missing one, or a single one fails."""
    claim = claim_targets_in_range(make_run(tmp_path, label=labels), compose_config(FOLDER))
    assert not claim.holds
    assert said in claim.text


def test_losses(tmp_path):
    """Finite losses pass; one that is not, or none at all, fails."""
    run = RunFolder(tmp_path)
    run.history.write_text("epoch,train/loss,val/loss\n0,0.5,0.7\n1,0.25,0.5\n", encoding="utf-8")
    claim = claim_loss_finite(run)
    assert claim.holds
    assert claim.measured == {"epochs": 2, "losses_not_finite": 0, "last train/loss": 0.25, "last val/loss": 0.5}
    for bad in ("0,nan,0.7\n", "0,0.5,inf\n", "0,,0.7\n", ""):
        run.history.write_text(f"epoch,train/loss,val/loss\n{bad}", encoding="utf-8")
        assert not claim_loss_finite(run).holds, bad
    run.history.write_text("epoch,val/r2\n0,0.5\n", encoding="utf-8")
    assert not claim_loss_finite(run).holds


@pytest.mark.parametrize("build", [build_classification, build_regression], ids=["classes", "numbers"])
def test_better_than_a_baseline(build):
    """A good model passes, and the best baseline is named."""
    claim = claim_beats_baseline(build().report)
    assert claim.holds
    assert {"model", "constant"} <= set(claim.measured)


def test_not_better_than_a_baseline():
    """A model that guesses fails, and so does one that nothing was compared with."""
    worse = claim_beats_baseline(build_regression(noise=5.0).report)
    assert not worse.holds
    assert worse.measured["model"] > worse.measured["constant"]
    report = dataclasses.replace(build_regression().report, beats_baseline=None)
    assert not claim_beats_baseline(report).holds


@pytest.mark.parametrize(
    ("name", "low", "high", "holds"),
    [
        ("green_pixels", -0.1, 0.2, True),
        ("green_pixels", 0.01, 0.2, False),
        ("green_pixels", None, None, False),
        ("constant", -0.1, 0.2, False),
    ],
    ids=["cannot be told", "clearly worse", "no interval", "always the same answer"],
)
def test_green_pixels_may_be_as_good(name, low, high, holds):
    """Where weight is area nothing beats green pixels by much; only a model that is clearly worse fails."""
    report = build_regression().report
    split = shown_split(report)
    part = report.splits[split]
    own = next(metric.value for metric in part.metrics if metric.name == "rmse")
    baselines = []
    for baseline in part.baselines:
        if baseline.name == name:
            values = [dataclasses.replace(m, value=own - 0.01) if m.name == "rmse" else m for m in baseline.metrics]
            lead = dataclasses.replace(part.metrics[0], name="rmse", value=0.01, low=low, high=high)
            baselines.append(dataclasses.replace(baseline, metrics=values, lead=lead))
        else:
            baselines.append(baseline)
    changed = dataclasses.replace(
        report, beats_baseline=False, splits={**report.splits, split: dataclasses.replace(part, baselines=baselines)}
    )
    claim = claim_beats_baseline(changed)
    assert claim.holds is holds
    assert name in claim.text


def with_trust(report: EvaluationReport, **parts) -> EvaluationReport:
    return dataclasses.replace(report, trust=TrustReport(make_verdicts(), **parts))


@functools.cache
def _build_two_classes() -> EvaluationReport:
    return build_classification(("a", "b")).report


def judge_probabilities(n: int, excess: float, seed: int) -> EvaluationReport:
    """A report on answers whose probabilities are too high by `excess`, each image a group of its own."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.55, 0.98, n)
    wrong = rng.random(n) > np.clip(sure - excess, 0.5, 1.0)
    probs = np.column_stack([sure, 1.0 - sure])
    scores = measure_calibration(wrong.astype(np.int64), probs)
    bins = draw_reliability(wrong.astype(np.int64), probs)
    report = _build_two_classes()
    test = dataclasses.replace(report.splits["test"], n=n, n_groups=n)
    report = dataclasses.replace(report, splits={**report.splits, "test": test})
    return with_trust(report, calibration=CalibrationReport("temperature", 1.0, scores, scores, bins, bins))


@pytest.mark.parametrize("n", [60, 2000])
def test_calibrated_probabilities_seldom_fail_and_wrong_ones_do(n):
    """Without any margin about one calibrated model in a hundred fails; one that is too sure does not pass."""
    strict = compose_config([*FOLDER, "promote.calibration_margin=0"])
    honest = [claim_calibrated(judge_probabilities(n, 0.0, seed), strict).holds for seed in range(200)]
    boastful = [claim_calibrated(judge_probabilities(n, 0.3, seed), strict).holds for seed in range(40)]
    assert np.mean(honest) >= 0.96
    assert np.mean(boastful) <= 0.2


def test_margin_of_calibration_is_read():
    """The margin of the settings is added to what chance explains, and both are told."""
    report = judge_probabilities(2000, 0.1, 0)
    for margin, holds in ((0.0, False), (0.2, True)):
        claim = claim_calibrated(report, compose_config([*FOLDER, f"promote.calibration_margin={margin}"]))
        assert claim.holds == holds
        assert claim.measured["limit"] == pytest.approx(claim.measured["explained_by_chance"] + margin)


def test_calibration_that_was_not_measured_fails():
    """No number is no proof."""
    config = compose_config(FOLDER)
    report = build_classification().report
    assert not claim_calibrated(report, config).holds
    assert not claim_calibrated(with_trust(report), config).holds


@pytest.mark.parametrize(
    ("bias", "low", "high", "holds"),
    [
        (0.1, None, None, True),
        (0.3, None, None, False),
        (-0.3, None, None, False),
        (-0.3, -0.7, 0.1, True),
        (0.3, 0.2, 0.4, False),
        (None, None, None, False),
    ],
)
def test_bias_of_numbers(bias, low, high, holds):
    """Numbers that are off in one direction by more than chance and a quarter of the error fail."""
    report = build_regression().report
    metrics = [MetricValue("mae", 1.0, "g", False), MetricValue("bias", bias, "g", False, low, high)]
    test = dataclasses.replace(report.splits["test"], metrics=metrics)
    report = dataclasses.replace(report, splits={**report.splits, "test": test})
    assert claim_calibrated(report, compose_config(TABLE)).holds == holds


def fit_on(report: EvaluationReport, n_groups: int) -> EvaluationReport:
    fitted = dataclasses.replace(report.splits["test"], n_groups=n_groups)
    return dataclasses.replace(report, splits={**report.splits, "calibration": fitted})


def make_rows(coverage: float, n_groups: int = 400) -> list[CoverageRow]:
    return [CoverageRow("all", "all", n_groups, n_groups, coverage, None, None, 1.0)]


@pytest.mark.parametrize(
    ("coverage", "n_groups", "margin", "holds"),
    [
        (0.90, 400, 0.0, True),
        (0.87, 400, 0.0, True),
        (0.86, 400, 0.0, False),
        (0.86, 400, 0.05, True),
        (0.80, 400, 0.05, False),
        (0.80, 10, 0.05, True),
        (float("nan"), 400, 0.05, False),
    ],
)
def test_coverage(coverage, n_groups, margin, holds):
    """Intervals and sets may miss the promise by the margin and by chance, which few groups have more of."""
    config = compose_config([*TABLE, f"promote.coverage_margin={margin}"])
    rows = make_rows(coverage, n_groups)
    regression, classification = fit_on(build_regression().report, 10**6), fit_on(build_classification().report, 10**6)
    numbers = with_trust(regression, intervals=[IntervalReport("w", "g", "c", 0.9, 0.9, rows, 1.0)])
    classes = with_trust(classification, sets=SetReport("raps", 0.9, 0.9, rows, {1: 400}))
    assert claim_covers(numbers, config).holds == holds
    assert claim_covers(classes, config).holds == holds


def test_few_calibration_groups_are_chance_too():
    """Split conformal as it should be: about one run in a hundred fails, however few groups it was fitted on."""
    promised, n_fitted, n_tested = 0.9, 20, 200
    config = compose_config([*TABLE, "promote.coverage_margin=0"])
    rng = np.random.default_rng(0)
    rank = np.ceil((n_fitted + 1) * promised)
    shares = rng.binomial(n_tested, rng.beta(rank, n_fitted + 1 - rank, 1000)) / n_tested
    held = {}
    for n in (n_fitted, 10**6):
        report = fit_on(build_regression().report, n)
        parts = [IntervalReport("w", "g", "c", promised, promised, make_rows(share, n_tested), 1.0) for share in shares]
        held[n] = np.mean([claim_covers(with_trust(report, intervals=[part]), config).holds for part in parts])
    assert held[n_fitted] >= 0.97
    assert held[10**6] < 0.9
    far = IntervalReport("w", "g", "c", promised, promised, make_rows(0.6, n_tested), 1.0)
    report = fit_on(build_regression().report, n_fitted)
    assert not claim_covers(with_trust(report, intervals=[far]), config).holds


def test_one_target_that_is_not_covered_fails():
    """All targets must keep their promise."""
    parts = [
        IntervalReport(name, "g", "c", 0.9, 0.9, make_rows(share), 1.0) for name, share in (("a", 0.9), ("b", 0.5))
    ]
    claim = claim_covers(with_trust(build_regression().report, intervals=parts), compose_config(TABLE))
    assert not claim.holds
    assert claim.measured["coverage b"] == 0.5


def test_coverage_that_was_not_measured_fails():
    """No interval is no coverage."""
    config = compose_config(TABLE)
    assert not claim_covers(build_regression().report, config).holds
    assert not claim_covers(with_trust(build_regression().report), config).holds


def make_drift(*fired: bool) -> DriftReport:
    findings = [
        DriftFinding(
            DriftKind.photo,
            "photo/brightness",
            LookWindow.batch,
            0.4 if one else 0.0,
            0.001 if one else 0.6,
            0.01,
            one,
            98.0,
            121.0,
            "",
            "brightness 98 -> 121",
        )
        for one in fired
    ]
    return DriftReport(1, 40, 20, 40, 20, 200, 90, 0.05, 0.01, 0.01, 1000, any(fired), findings, ["no features"])


def test_drift():
    """Alike images pass, unlike ones fail and say why, and a look that compared nothing fails."""
    quiet = claim_no_drift(make_drift(False))
    assert quiet.holds
    assert quiet.measured["smallest_p_value"] == 0.6
    loud = claim_no_drift(make_drift(False, True))
    assert not loud.holds
    assert loud.text == "brightness 98 -> 121"
    assert not claim_no_drift(make_drift()).holds


def test_bins_of_one_image_are_not_proof_of_anything():
    """With as many bins as images chance explains almost everything."""
    bins = [ReliabilityBin(1, 0.9, 1.0)] * 8
    report = with_trust(
        build_classification(("a", "b")).report,
        calibration=CalibrationReport("none", None, {"ece": 0.1}, {"ece": 0.1}, bins, bins),
    )
    claim = claim_calibrated(report, compose_config(FOLDER))
    assert claim.holds
    assert claim.measured["explained_by_chance"] > 0.2
