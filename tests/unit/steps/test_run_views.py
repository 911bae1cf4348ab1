"""Tables and pictures of a run, as an orchestrator's page shows them."""

import base64
import io
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from factories.predictions import make_history
from factories.reports import build_classification, build_regression
from phytoscope.schema.artifact import write_json
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Task
from phytoscope.steps.run_views import (
    MOST_PX,
    read_main_metric,
    show_history,
    show_main_figure,
    show_picture,
    tabulate_answers,
    tabulate_history,
    tabulate_metrics,
    tabulate_rejected,
    tabulate_split,
)


def write_run(run: RunFolder, evaluated: SimpleNamespace) -> RunFolder:
    """Writes the tables of a drawn run into a folder."""
    run.root.mkdir(exist_ok=True)
    rows = evaluated.manifest.copy()
    for name in ("label", "target"):
        if name not in rows:
            rows[name] = None
    rows.drop(columns="split").to_parquet(run.manifest)
    rows[["sample_id", "group_id", "split"]].to_parquet(run.split)
    evaluated.history.to_csv(run.history, index=False)
    write_json(run.report, evaluated.report.to_dict())
    return run


@pytest.fixture
def classes(tmp_path) -> RunFolder:
    """A drawn run of three classes, twelve images of each in every split."""
    return write_run(RunFolder(tmp_path / "run"), build_classification(("healthy", "rust", "scab")))


@pytest.fixture
def numbers(tmp_path) -> RunFolder:
    """A drawn run of a weight, forty images of ten plants in every split."""
    return write_run(RunFolder(tmp_path / "run"), build_regression())


def test_split_of_classes(classes):
    """Every split has a row, in the order of the data flow."""
    found = tabulate_split(classes)
    assert [row["split"] for row in found] == ["train", "val", "calibration", "test"]
    assert found[0] == {"split": "train", "images": 36, "groups": 12, "classes": 3}
    answers = tabulate_answers(classes)
    assert answers[0] == {"class": "healthy", "train": 12, "val": 12, "calibration": 12, "test": 12}


def test_split_of_numbers(numbers):
    """For numbers the range of the target is told."""
    found = tabulate_split(numbers)
    assert (found[3]["images"], found[3]["groups"]) == (40, 10)
    assert 0 < found[3]["smallest"] < found[3]["largest"]
    answers = {row["statistic"]: row["value"] for row in tabulate_answers(numbers)}
    assert answers["count"] == 160


def test_reasons_are_counted(classes):
    """Faults of one kind are one row, however their values differ; no fault is no row."""
    reasons = ["image is truncated: 3 bytes", "image is truncated: 9 bytes", "the label is missing"]
    pd.DataFrame({"reason": reasons}).to_csv(classes.rejected, index=False)
    assert tabulate_rejected(classes) == [
        {"reason": "image is truncated", "faults": 2},
        {"reason": "the label is missing", "faults": 1},
    ]
    pd.DataFrame({"reason": []}).to_csv(classes.rejected, index=False)
    assert tabulate_rejected(classes) == []


def test_history_as_table_and_picture(classes):
    """One row an epoch, and a picture that is small enough for a data base."""
    assert [row["epoch"] for row in tabulate_history(classes)] == list(range(12))
    picture = open_picture(show_history(classes, Task.classification))
    assert max(picture.size) <= MOST_PX
    # Two panels, loss and metric, of more than one colour.
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


def open_picture(markdown: str) -> Image.Image:
    head, _, content = markdown.partition("base64,")
    assert head.endswith("(data:image/png;")
    return Image.open(io.BytesIO(base64.b64decode(content.removesuffix(")"))))


@pytest.mark.parametrize("name", ["classes", "numbers"])
def test_metrics_stand_beside_the_baselines(name, request):
    """Each metric of the test images has its interval and the value of each napkin model."""
    run = request.getfixturevalue(name)
    found = tabulate_metrics(run)
    assert {"metric", "value", "low", "high", "constant"} <= set(found[0])
    metric, value = read_main_metric(run)
    assert metric in ("test/macro_f1", "test/rmse")
    assert value in [row["value"] for row in found]


def test_figure_of_the_evaluation(classes):
    """The main figure is shown when it was drawn, and nothing is made up when it was not."""
    assert show_main_figure(classes) == ""
    classes.figures.mkdir()
    Image.new("RGB", (2000, 1000), "green").save(classes.figures / "confusion_matrix.png")
    shown = show_main_figure(classes)
    assert shown.startswith("![confusion matrix](")
    assert open_picture(shown).size == (MOST_PX, MOST_PX // 2)


def test_history_without_the_metric(numbers, tmp_path):
    """A training that measured only the loss is drawn too."""
    make_history()[["epoch", "train/loss", "val/loss"]].to_csv(numbers.history, index=False)
    assert open_picture(show_history(numbers, Task.regression)).size[0] > 100
    Image.new("RGB", (10, 10)).save(tmp_path / "small.png")
    assert open_picture(show_picture(tmp_path / "small.png", "small")).size == (10, 10)
