"""`phytoscope data diff` answers like `diff`: equal, different, or a mistake of the user."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from factories.runs import run_command
from phytoscope import cli


def write_manifest(folder, labels):
    folder.mkdir()
    numbers = range(len(labels))
    manifest = pd.DataFrame(
        {
            "sample_id": [f"{number}.jpg" for number in numbers],
            "sha256": [f"{number:064x}" for number in numbers],
            "label": labels,
            "target": np.nan,
            "group_id": [f"leaf{number}" for number in numbers],
        }
    )
    manifest.to_parquet(folder / "manifest.parquet")
    return str(folder)


@pytest.fixture
def before(tmp_path):
    return write_manifest(tmp_path / "before", ["rust", "rust", "scab"])


@pytest.fixture
def after(tmp_path):
    return write_manifest(tmp_path / "after", ["rust", "[scab]", "scab", "scab"])


def call(*words):
    return CliRunner().invoke(cli.app, ["data", "diff", *map(str, words)])


def test_equal_versions(before):
    """Code 0, and both sides under the same version."""
    result = call(before, f"{before}/manifest.parquet")
    assert result.exit_code == 0
    one, other, last = result.output.splitlines()
    assert one[3:] == other[3:]
    assert last == "Nothing changed."


def test_different_versions(before, after):
    """Code 3, counts and examples, with brackets as they are."""
    result = call(before, after)
    assert result.exit_code == 3
    assert "added: 1\n  3.jpg" in result.output
    assert "relabelled: 1\n  1.jpg: rust -> [scab]" in result.output


def test_changed_columns_are_named(before, after, tmp_path):
    """A corrected age is a change, and so is a new column."""
    for folder, ages, own in ((before, [1, 2, 3], "meta/old [x]"), (after, [1, 5, 3, 4], "meta/new [x]")):
        manifest = pd.read_parquet(f"{folder}/manifest.parquet")
        manifest.assign(**{"meta/age [days]": ages, own: 0}).to_parquet(f"{folder}/manifest.parquet")
    result = call(before, after, "-o", tmp_path / "changes.json")
    assert result.exit_code == 3
    assert "changed_columns: 1 (age [days]: 1)\n  1.jpg age [days]: 2 -> 5" in result.output
    assert "columns added: new [x]" in result.output
    assert "columns removed: old [x]" in result.output
    written = json.loads((tmp_path / "changes.json").read_text(encoding="utf-8"))
    assert written["changed_columns"] == {"age [days]": 1}
    assert (written["added_columns"], written["removed_columns"]) == (["new [x]"], ["old [x]"])


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_all_changes_are_written(before, after, tmp_path, suffix):
    """The table holds every row; an existing one is replaced only when asked."""
    output = tmp_path / f"changes.{suffix}"
    assert call(before, after, "--output", output).exit_code == 3
    rows = (
        pd.read_csv(output).to_dict("records")
        if suffix == "csv"
        else json.loads(output.read_text(encoding="utf-8"))["changes"]
    )
    assert [(row["change"], row["sample_id"]) for row in rows] == [("added", "3.jpg"), ("relabelled", "1.jpg")]
    assert "add --overwrite" in str(call(before, after, "--output", output).exception)
    assert call(before, after, "--output", output, "--overwrite").exit_code == 3


def test_unknown_kind_of_table(before, after, tmp_path):
    """Told before anything is compared."""
    assert "must end in .csv or .json" in str(call(before, after, "--output", tmp_path / "changes.xlsx").exception)


def test_wrong_path_is_a_mistake_of_the_user(before, tmp_path):
    """Code 2, and a sentence instead of a traceback."""
    result = run_command("data", "diff", before, str(tmp_path / "nowhere"))
    assert result.returncode == 2
    assert "there is no manifest in" in result.stderr
    assert "Traceback" not in result.stderr


def test_command_explains_itself():
    """`--help` says what the exit codes mean."""
    result = CliRunner().invoke(cli.app, ["data", "diff", "--help"])
    assert result.exit_code == 0
    assert "Exit code 0" in result.output
