"""The report follows from the table of predictions alone."""

import json

import pytest

from factories.predictions import evaluate_drawn, make_classification, make_regression
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.evaluate.report import main_metric
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.table import Task

NAMES = ["healthy", "rust", "scab", "mildew"]
FACTS = {"name": "run", "data_hash": "d", "split_hash": "s"}


def evaluate_classes(predictions, train_rows, **changes):
    settings = {
        "task": Task.classification,
        "class_names": NAMES,
        "target_name": "class",
        "unit": "",
        **FACTS,
        **changes,
    }
    return evaluate_drawn(predictions, train_rows, **settings)


def evaluate_weights(predictions, train_rows, **changes):
    settings = {
        "task": Task.regression,
        "class_names": [],
        "target_name": "fresh_weight_g",
        "unit": "g",
        **FACTS,
        **changes,
    }
    return evaluate_drawn(predictions, train_rows, **settings)


def test_classification_report_has_every_split_with_its_baseline():
    """All three splits are scored, on their own rows."""
    predictions, train_rows, _ = make_classification(NAMES)
    report = evaluate_classes(predictions, train_rows)
    assert list(report.splits) == ["val", "calibration", "test"]
    for name, part in report.splits.items():
        rows = predictions[predictions["split"] == name]
        assert part.n == len(rows) == 48
        assert part.n_groups == 16
        assert report.metric(name, "accuracy") == pytest.approx((rows["label"] == rows["prediction"]).mean())
        assert [baseline.name for baseline in part.baselines] == ["constant"]
        assert sum(map(sum, part.confusion)) == part.n
    assert report.beats_baseline
    assert report.warnings == []
    assert report.model_id == "model-1"


def test_regression_report_has_both_baselines():
    """Constant and green pixels are scored on the rows of the split."""
    predictions, train_rows, _ = make_regression()
    report = evaluate_weights(predictions, train_rows)
    part = report.splits["test"]
    assert [baseline.name for baseline in part.baselines] == ["constant", "green_pixels"]
    assert report.metric("test", "r2") > 0.9
    assert len(part.worst) == 12
    assert report.beats_baseline
    assert report.class_names == []


def test_green_pixels_can_beat_the_model():
    """A noisy model loses to the line, and the report says so with numbers."""
    predictions, train_rows, _ = make_regression(noise=2.0)
    report = evaluate_weights(predictions, train_rows)
    assert report.beats_baseline is False
    assert any("straight line on the number of green pixels: RMSE" in sentence for sentence in report.warnings)


@pytest.mark.parametrize("make", [make_classification, make_regression])
def test_report_survives_json(make):
    """What is written can be read back to an equal report."""
    predictions, train_rows, _ = make()
    if make is make_classification:
        report = evaluate_classes(predictions, train_rows, class_names=["healthy", "rust", "scab"])
    else:
        report = evaluate_weights(predictions, train_rows)
    assert EvaluationReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_report_does_not_depend_on_the_order_of_rows():
    """The same predictions in another order give the same report."""
    predictions, train_rows, _ = make_regression()
    shuffled = predictions.sample(frac=1.0, random_state=0)
    first, second = evaluate_weights(predictions, train_rows), evaluate_weights(shuffled, train_rows)
    assert first.splits["test"].worst == second.splits["test"].worst
    assert first.metric("test", "rmse") == pytest.approx(second.metric("test", "rmse"), abs=1e-12)


def test_a_single_test_row_is_reported_with_doubts():
    """One row has no R2, and the report says that it is few."""
    predictions, train_rows, _ = make_regression()
    report = evaluate_weights(predictions[predictions["split"] == "test"].iloc[:1], train_rows)
    assert list(report.splits) == ["test"]
    assert report.metric("test", "r2") is None
    assert any("Few test images: 1" in sentence for sentence in report.warnings)


def test_without_a_test_split_nothing_is_compared():
    """A model is called neither better nor worse on images that chose it, and JSON keeps that apart from worse."""
    predictions, train_rows, _ = make_regression()
    report = evaluate_weights(predictions[predictions["split"] == "val"], train_rows)
    assert report.beats_baseline is None
    assert any("no test split" in sentence for sentence in report.warnings)
    assert EvaluationReport.from_dict(json.loads(json.dumps(report.to_dict()))).beats_baseline is None


@pytest.mark.parametrize("n", [1, 10, 40])
def test_test_images_without_a_group_are_counted(n):
    """Some or all: only test images whose group was made up from their content count."""
    predictions, train_rows, _ = make_regression()
    rows = predictions.index[predictions["split"] == "test"][:n]
    predictions.loc[predictions["split"] == "val", "group_id"] = "image/0123456789abcdef"
    assert not any("no plant or leaf" in text for text in evaluate_weights(predictions, train_rows).warnings)
    predictions.loc[rows, "group_id"] = [f"image/{number:016x}" for number in rows]
    (found,) = [text for text in evaluate_weights(predictions, train_rows).warnings if "no plant or leaf" in text]
    assert found.startswith(f"{n} of 40 test photographs name")


def test_limits_of_zero_are_values():
    """No confusions may be asked for, no slices may not."""
    predictions, train_rows, _ = make_classification(NAMES)
    assert evaluate_classes(predictions, train_rows, confusions=0).splits["test"].top_confusions == []
    with pytest.raises(ConfigError, match="deciles is 0"):
        evaluate_classes(predictions, train_rows, deciles=0)


def test_predictions_of_two_models_are_refused():
    """A report speaks of one model."""
    predictions, train_rows, _ = make_classification(NAMES)
    predictions.loc[0, "model_id"] = "model-9"
    with pytest.raises(ArtifactError, match="from 2 models"):
        evaluate_classes(predictions, train_rows)


def test_main_metric_knows_its_direction():
    """More F1 is better, less error is better."""
    assert main_metric(Task.classification) == ("macro_f1", True)
    assert main_metric(Task.regression) == ("rmse", False)
