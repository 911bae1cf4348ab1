"""Comparing runs reads their folders and writes files for people and machines."""

import pandas as pd
import pytest

from factories.comparisons import draw_answers
from phytoscope.errors import ArtifactError
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.schema.artifact import read_json, write_json
from phytoscope.schema.comparison import Comparison
from phytoscope.schema.table import Split, Task
from phytoscope.steps.compare import CompareRequest, compare_runs, read_answers

PLAN = BootstrapPlan(50)


def write_run(folder, task, *, second, unit=None):
    """Write the predictions of a drawn model, and what a report says about it."""
    answers = draw_answers(task, second=second)
    folder.mkdir(parents=True)
    answers.table.to_parquet(folder / "predictions.parquet")
    if unit is not None:
        write_json(folder / "report.json", {"unit": unit, "target_name": answers.target_name, "split_hash": "s"})
    return folder


@pytest.mark.parametrize("task", list(Task))
def test_files_are_written(tmp_path, task):
    """JSON, page, table and figure; the folder's other files stay."""
    first = write_run(tmp_path / "plain", task, second=False)
    second = write_run(tmp_path / "field", task, second=True)
    output = tmp_path / "out"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    found = compare_runs(CompareRequest(first, second, Split.test, PLAN, output=output))
    names = {path.name for path in output.iterdir()}
    assert names == {
        "mine.txt",
        "comparison.json",
        "comparison.html",
        "comparison_places.png",
        "comparison_places.pdf",
        "disagreements.csv",
    }
    assert Comparison.from_dict(read_json(output / "comparison.json")) == found
    assert len(pd.read_csv(output / "disagreements.csv")) == found.n_disagreements
    assert (found.first_name, found.second_name) == ("plain", "field")


def test_tables_alone_can_be_compared(tmp_path):
    """Without a report the unit is not known, and two tables of one name are told apart."""
    first = write_run(tmp_path / "a", Task.regression, second=False)
    second = write_run(tmp_path / "b", Task.regression, second=True)
    paths = [folder / "predictions.parquet" for folder in (first, second)]
    found = compare_runs(CompareRequest(*paths, Split.val, PLAN))
    assert found.first_name == f"A ({paths[0]})"
    assert found.second_name == f"B ({paths[1]})"
    assert found.split == "val"
    assert found.unit == ""


def test_units_of_the_reports_count(tmp_path):
    """Grams and milligrams are not compared."""
    first = write_run(tmp_path / "a", Task.regression, second=False, unit="g")
    second = write_run(tmp_path / "b", Task.regression, second=True, unit="mg")
    assert read_answers(first).unit == "g"
    with pytest.raises(ArtifactError, match="the unit is 'g' in one and 'mg'"):
        compare_runs(CompareRequest(first, second, Split.test, PLAN))


def test_places_without_predictions_are_refused(tmp_path):
    """An empty folder, nothing at all, no table, and a table of something else."""
    with pytest.raises(ArtifactError, match=r"it has no predictions\.parquet"):
        read_answers(tmp_path)
    with pytest.raises(ArtifactError, match="it does not exist"):
        read_answers(tmp_path / "gone")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="cannot be read as a table"):
        read_answers(broken)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(other)
    with pytest.raises(ArtifactError, match="no table of predictions"):
        read_answers(other)
