"""`ph.read`: from a folder or a table to a Dataset."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import phytoscope as ph
from factories.runs import draw_mixed_photo
from factories.runs import draw_mixed_table as draw_table
from phytoscope.schema.table import Task


def test_folder_is_read(leaves, capfd):
    """Class folders give one row an image, with the leaf it shows; nothing is printed."""
    data = ph.read(leaves)

    assert data.task is Task.classification
    assert len(data) == len(data.table) == 89
    assert len(data.classes) == 5
    assert data.table["group_id"].nunique() == 30
    assert sorted(data.rejected["reason"]) == [
        "the file is empty (0 bytes)",
        "the file is truncated",
        "unknown image extension '.txt'",
    ]
    assert capfd.readouterr() == ("", "")


def test_only_the_cache_is_written(leaves, tmp_path):
    """Reading leaves nothing but the cache of what is known of the images, and opens no image a second time."""
    ph.read(leaves)
    facts = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/cache/facts").rglob("*") if path.is_file()}

    ph.read(leaves)

    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["cache"]
    assert {path: path.stat().st_mtime_ns for path in facts} == facts


def test_table_is_read(tmp_path, monkeypatch):
    """A table gives numbers, with their unit and the plants; relative paths are those of the current folder."""
    draw_table(tmp_path, n=12)
    monkeypatch.chdir(tmp_path)

    data = ph.read("table.csv", images="images", target="weight", unit="g", group_by="plant")

    assert data.task is Task.regression
    assert (data.target_name, data.unit, data.classes) == ("weight", "g", [])
    assert data.table["group_id"].nunique() == 6
    # The words hold elsewhere, too.
    monkeypatch.chdir("/")
    assert ph.split(data, settings=["data.split.folds=2", f"paths.runs_dir={tmp_path / 'runs'}"]).leaks.empty


def test_columns_may_have_any_name(tmp_path, monkeypatch):
    """Names with spaces, commas, brackets and quotes reach the reader as they are."""
    rng = np.random.default_rng(0)
    for name in "abcd":
        draw_mixed_photo(tmp_path / f"photos/{name}.jpg", 0, 0.5, rng)
    rows = [f"{name}.jpg,{place + 1},{place // 2},x" for place, name in enumerate("abcd")]
    header = 'image,"fresh weight, ""total"" (g)",plant\'s no.,"[bed], row"'
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    data = ph.read("t.csv", target='fresh weight, "total" (g)', group_by=["plant's no.", "[bed], row"])

    assert data.table["target"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert data.table["group_id"].nunique() == 2


def test_nothing_usable_is_told_in_the_table(tmp_path, monkeypatch):
    """Where no image can be used, the reasons are still there to be read; nothing can be split."""
    for name in ("a", "b"):
        (tmp_path / "leaves" / name).mkdir(parents=True)
        (tmp_path / "leaves" / name / "1.jpg").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    data = ph.read("leaves")

    assert len(data) == 0
    assert len(data.rejected) == 2
    assert "rejected: 2" in repr(data)
    with pytest.raises(ph.errors.DataValidationError, match="none of the 2 images can be used"):
        ph.split(data)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ph.read("leavs"), ph.errors.DataNotFoundError, "did you mean 'leaves'"),
        (lambda: ph.read("plants.csv"), ph.errors.ConfigError, 'Add target="COLUMN" .* Columns: image, weight'),
        (lambda: ph.read("plants.csv", target="wieght"), ph.errors.ConfigError, "did you mean 'weight'"),
        (lambda: ph.read("leaves", target="weight"), ph.errors.ConfigError, "so images, target and label mean nothing"),
        (lambda: ph.read("note.md"), ph.errors.ConfigError, "neither a folder nor a table"),
        (lambda: ph.read("leaves", unit="g"), ph.errors.ConfigError, "unit='g' is for numbers"),
        (lambda: ph.read(None), ph.errors.ConfigError, "received NoneType"),
        (lambda: ph.read(pd.DataFrame()), ph.errors.ConfigError, "received DataFrame.*to_csv"),
        (lambda: ph.read("leaves", settings="seed=1"), ph.errors.ConfigError, r"settings=\['seed=1'\]"),
        (lambda: ph.read("leaves", settings=["sed=1"]), ph.errors.ConfigError, "did you mean 'seed'"),
        (lambda: ph.read("leaves", settings=["paths.cache_dir=leaves/cache"]), ph.errors.ConfigError, "lies inside"),
    ],
)
def test_mistakes_say_what_would_work(tmp_path, monkeypatch, call, error, text):
    """Wrong names and settings are the same errors as at the command line, in the words of Python."""
    draw_mixed_photo(tmp_path / "leaves/healthy/1.jpg", 0, 0.5, np.random.default_rng(0))
    (tmp_path / "plants.csv").write_text("image,weight\n1.jpg,3\n", encoding="utf-8")
    (tmp_path / "note.md").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(error, match=text):
        call()


def test_layout_can_be_named(leaves):
    """A layout among the settings stands for the guess."""
    data = ph.read(leaves, settings=["data=folder"])

    assert "data=folder" in data.settings
    # Nothing says which photographs show one leaf, so every image is a group of its own; one is there twice.
    assert data.table["group_id"].nunique() == len(data) - 1


def test_table_layout_can_be_named(tmp_path, monkeypatch):
    """The same for a table, with its images."""
    draw_table(tmp_path, n=4)
    monkeypatch.chdir(tmp_path)

    data = ph.read(Path("table.csv"), images=Path("images"), settings=["data=table", "data.target=weight"])

    assert len(data) == 4
