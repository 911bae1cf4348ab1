"""Numbers about further targets count the rows in which they are known, and no other."""

import json

import numpy as np
import pytest

from factories.predictions import add_more_targets, evaluate_drawn, make_regression
from phytoscope.errors import DataValidationError
from phytoscope.evaluate.regression import measure_regression
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.table import Task

MORE = {"leaf area": "cm2", "leaves": ""}


@pytest.fixture
def tables():
    """Predictions and training rows with two further targets."""
    predictions, train_rows, _ = make_regression()
    return add_more_targets(predictions, train_rows)


def evaluate(predictions, train_rows, more=MORE) -> EvaluationReport:
    """The report of a weight with further targets."""
    return evaluate_drawn(
        predictions,
        train_rows,
        task=Task.regression,
        class_names=[],
        target_name="fresh_weight",
        unit="g",
        name="run",
        data_hash="d",
        split_hash="s",
        more_targets=more,
    )


def test_metrics_of_known_rows(tables) -> None:
    """Each split names every further target, with its unit, its number of rows and the metrics of just these."""
    predictions, train_rows = tables
    report = evaluate(predictions, train_rows)
    for split, part in report.splits.items():
        assert [(target.name, target.unit) for target in part.more_targets] == list(MORE.items())
        for target in part.more_targets:
            rows = predictions[(predictions["split"] == split) & predictions[f"target/{target.name}"].notna()]
            assert (target.n, target.n_groups) == (len(rows), rows["group_id"].nunique())
            assert 0 < target.n < part.n
            columns = (rows[f"{kind}/{target.name}"].to_numpy(dtype=float) for kind in ("target", "prediction"))
            assert target.metrics == measure_regression(*columns, target.unit)


def test_baselines_are_fitted_on_training_rows_alone(tables) -> None:
    """The constant is the mean of the training rows that have the target; changing other rows' truth changes none."""
    predictions, train_rows = tables
    changed = predictions.assign(**{"target/leaves": predictions["target/leaves"] * 100})
    constants = [
        evaluate(table, train_rows).splits["test"].more_targets[1].baselines[0].description
        for table in (predictions, changed)
    ]
    mean = train_rows["target/leaves"].mean()
    assert constants == [f"always {mean:.4g}, the mean of the training images"] * 2


def test_main_target_is_as_without_them(tables) -> None:
    """Verdict, warnings and numbers of the main target do not depend on further ones."""
    predictions, train_rows = tables
    with_them, without = evaluate(predictions, train_rows).to_dict(), evaluate(predictions, train_rows, {}).to_dict()
    for part in with_them["splits"].values():
        assert part.pop("more_targets")
    for part in without["splits"].values():
        assert part.pop("more_targets") == []
    assert with_them == without


def test_split_where_nobody_knows_it(tables) -> None:
    """No row, no number: that is said by n = 0, not by an error."""
    predictions, train_rows = tables
    predictions.loc[predictions["split"] == "val", "target/leaves"] = np.nan
    target = evaluate(predictions, train_rows).splits["val"].more_targets[1]
    assert (target.n, target.n_groups, target.metrics, target.baselines) == (0, 0, [], [])


def test_report_survives_json(tables) -> None:
    """What is written is what is read; a report from before there were further targets is read as one without."""
    report = evaluate(*tables)
    content = json.loads(json.dumps(report.to_dict()))
    assert EvaluationReport.from_dict(content) == report
    for part in content["splits"].values():
        del part["more_targets"]
    old = EvaluationReport.from_dict(content)
    assert all(part.more_targets == [] for part in old.splits.values())


def test_faulty_columns_are_named(tables) -> None:
    """A prediction that is missing or infinite, and a truth that is no number, are faults; a missing truth is none."""
    predictions, train_rows = tables
    predictions.loc[3, "prediction/leaves"] = np.nan
    predictions.loc[predictions["target/leaf area"].notna().idxmax(), "target/leaf area"] = np.inf
    with pytest.raises(DataValidationError) as caught:
        evaluate(predictions, train_rows)
    assert "column 'prediction/leaves': 1 of 120 values are no finite number" in str(caught.value)
    assert "column 'target/leaf area': 1 of" in str(caught.value)
    with pytest.raises(DataValidationError, match=r"column\(s\) 'prediction/leaves' missing"):
        evaluate(predictions.drop(columns="prediction/leaves"), train_rows)
    with pytest.raises(DataValidationError, match=r"the training rows: column\(s\) 'target/leaves' missing"):
        evaluate(
            tables[0].assign(**{"prediction/leaves": 1.0}).fillna(0.0).replace(np.inf, 0.0),
            train_rows.drop(columns="target/leaves"),
        )


def test_target_that_no_training_row_has_gets_no_baseline(tables) -> None:
    """There is nothing to fit a constant to; the model's own numbers stand without one."""
    predictions, train_rows = tables
    target = evaluate(predictions, train_rows.assign(**{"target/leaves": np.nan})).splits["test"].more_targets[1]
    assert target.baselines == []
    assert target.metrics
