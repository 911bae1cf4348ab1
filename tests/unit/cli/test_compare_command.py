"""`phytoscope compare` says who is better, and by how much."""

import pytest
from typer.testing import CliRunner

from factories.comparisons import draw_answers
from phytoscope import cli
from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task


@pytest.fixture
def runs(tmp_path):
    """Folders of two runs, the second one better."""
    folders = []
    for name, second in (("plain", False), ("field", True)):
        folder = tmp_path / name
        folder.mkdir()
        draw_answers(Task.classification, second=second).table.to_parquet(folder / "predictions.parquet")
        folders.append(str(folder))
    return folders


def call(*words):
    return CliRunner().invoke(cli.app, ["compare", *words], env={"COLUMNS": "140"})


def test_words_and_numbers_are_printed(runs, tmp_path):
    """The sentence first, then the table, and where the page lies."""
    result = call(*runs, "--bootstrap", "100", "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert result.output.startswith("field is better by ")
    assert "180 test photographs of 60 leaves or plants" in result.output
    assert "Brier score" in result.output
    assert str(tmp_path / "out" / "comparison.html") in result.output
    assert (tmp_path / "out" / "comparison.json").is_file()


def test_exit_code_is_zero_whoever_wins(runs):
    """A comparison is no check; another split and slice may be asked for."""
    result = call(*runs[::-1], "--bootstrap", "50", "--split", "val", "--slice", "camera", "--seed", "0")
    assert result.exit_code == 0
    assert result.output.startswith("field is better by ")
    assert "val photographs" in result.output


def test_wrong_places_and_splits_are_answered(runs, tmp_path):
    """No run, and a split that has no predictions."""
    assert isinstance(call(runs[0], str(tmp_path)).exception, ArtifactError)
    assert call(*runs, "--split", "train").exit_code == 2
