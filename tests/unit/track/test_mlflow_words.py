"""Names, lengths and numbers within the limits of MLflow."""

import json

import pytest
from mlflow.utils.validation import _validate_dataset_inputs, _validate_metric_name, _validate_param, _validate_tag

from phytoscope.schema.events import Event, EventKind
from phytoscope.track.mlflow_words import build_datasets, build_metrics, clean_name, name_tag, word_param, word_tag

STRANGE = ["val/f1/Corn_(maize)", "a,b", "", ".", "..", "/root", "a//b", "a/../../b", "x" * 400, "Äpfel, grün", "a\nb"]


@pytest.mark.parametrize("name", STRANGE)
def test_mlflow_takes_every_name(name) -> None:
    """A class or column of any name never makes MLflow refuse a number, a setting or a word."""
    _validate_metric_name(clean_name(name))
    _validate_param(clean_name(name), word_param("v" * 9000))
    _validate_tag(clean_name(name), word_tag("v" * 9000))


def test_good_names_stay() -> None:
    """What MLflow takes is not touched."""
    for name in ("train/loss", "val/r2", "system/cpu_utilization_percentage", "data.root", "test/Blatt/mae g"):
        assert clean_name(name) == name


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.0, "0.0"), (False, "False"), (None, "None"), ("", "")])
def test_values_that_look_like_nothing(value, text) -> None:
    """Seed 0 and ratio 0.0 are values, and so is an empty text."""
    assert word_param(value) == text


def test_tags_stand_under_our_name() -> None:
    """A word without a family gets ours; others keep theirs."""
    assert name_tag("task") == "phytoscope.task"
    assert name_tag("mlflow.note.content") == "mlflow.note.content"


def test_repeated_numbers_are_the_same() -> None:
    """The time of the event counts, not the time of telling, so a repeat is the same row."""
    event = Event(3, "k", EventKind.metrics, 1000.1234, {"step": 0, "metrics": {"train/loss": 0.0}})
    first, second = build_metrics(event), build_metrics(event)
    assert [dict(metric) for metric in first] == [dict(metric) for metric in second]
    assert (first[0].timestamp, first[0].step, first[0].value) == (1000123, 0, 0.0)


def test_input_tells_data_and_split() -> None:
    """Every split is an input of its own within the limits; the same data split in another way is another one."""
    content = {
        "name": "leaves",
        "source": "/data/leaves",
        "data_hash": "d" * 64,
        "split_hash": "5" * 64,
        "task": "regression",
        "target": "fresh_weight",
        "rows": {"train": 10, "val": 2, "calibration": 0, "test": 3},
    }
    inputs = build_datasets(content)
    _validate_dataset_inputs(inputs)
    assert [each.dataset.name for each in inputs] == [f"leaves/{split}" for split in content["rows"]]
    assert {each.dataset.digest for each in inputs} == {"d" * 17 + "-" + "5" * 17}
    assert build_datasets({**content, "split_hash": "6" * 64})[0].dataset.digest != inputs[0].dataset.digest
    tags = [{tag.key: tag.value for tag in each.tags} for each in inputs]
    assert [tag["mlflow.data.context"] for tag in tags] == list(content["rows"])
    assert [tag["phytoscope.rows"] for tag in tags] == ["10", "2", "0", "3"]
    assert {(tag["phytoscope.data_hash"], tag["phytoscope.split_hash"]) for tag in tags} == {("d" * 64, "5" * 64)}
    assert json.loads(inputs[0].dataset.profile)["target"] == "fresh_weight"
    assert json.loads(inputs[0].dataset.source) == {"uri": "/data/leaves"}
