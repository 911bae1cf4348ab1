"""Evaluated runs made from drawn predictions: the report with the tables it came from."""

from types import SimpleNamespace

from factories.predictions import LONG_CLASS_NAMES, evaluate_drawn, make_classification, make_history, make_regression
from phytoscope.schema.table import Task

FACTS = {"name": "run", "data_hash": "d" * 64, "split_hash": "s" * 64}


def build_classification(class_names=LONG_CLASS_NAMES, **settings) -> SimpleNamespace:
    """Evaluate drawn predictions of classes; the settings are those of `make_classification`."""
    predictions, train_rows, manifest = make_classification(class_names, **settings)
    report = evaluate_drawn(
        predictions,
        train_rows,
        task=Task.classification,
        class_names=list(class_names),
        target_name="class",
        unit="",
        **FACTS,
    )
    return SimpleNamespace(report=report, predictions=predictions, manifest=manifest, history=make_history())


def build_regression(unit="g", target_name="fresh_weight_total", **settings) -> SimpleNamespace:
    """Evaluate drawn predictions of a weight; the settings are those of `make_regression`."""
    predictions, train_rows, manifest = make_regression(**settings)
    report = evaluate_drawn(
        predictions,
        train_rows,
        task=Task.regression,
        class_names=[],
        target_name=target_name,
        unit=unit,
        **FACTS,
    )
    return SimpleNamespace(report=report, predictions=predictions, manifest=manifest, history=make_history("rmse"))
