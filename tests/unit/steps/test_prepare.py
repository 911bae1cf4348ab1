"""Preparing the data: what is written beside the manifest, what is said, and what makes the step start anew."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from factories.runs import run_tiny, run_words
from factories.tables import write_csv
from phytoscope.configs import compose_config
from phytoscope.errors import DataValidationError
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps import RunContext
from phytoscope.steps.look import look_at_data


def write_blocks(path, seed):
    """Write a picture of random blocks, which is a copy of no other."""
    blocks = np.random.default_rng(seed).integers(0, 250, (6, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))).save(path)


HEADER = ["file", "plant", "fresh weight (g)", "age"]


@pytest.fixture
def words(tmp_path) -> list[str]:
    """Settings of a table with two faults, a plant without a weight and an age that is none."""
    rows: list[list[object]] = [[f"{number}.png", number // 2, 1.0 + number, 7] for number in range(24)]
    rows[3][2], rows[5][2], rows[7][3], rows[8][3] = "", "heavy", "old", 700
    for number in range(24):
        if number != 9:
            write_blocks(tmp_path / "images" / f"{number}.png", seed=number)
    table = write_csv(tmp_path / "table.csv", HEADER, rows)
    data = [f"data.table={table}", f"data.images={tmp_path / 'images'}", "data.target=fresh_weight"]
    return run_words(["data=table", *data, "data.group_by=[plant]"], tmp_path / "run", "data.rules=['age < 100']")


def test_everything_is_written_and_said(words) -> None:
    """Faults, warnings and unlabelled images lie beside the manifest, which knows the unit of its target."""
    run, sentences = run_tiny(words, "prepare")
    rejected, warnings = pd.read_csv(run.rejected), pd.read_csv(run.warnings)
    assert list(rejected["source_row"]) == [5, 7, 11]
    assert list(warnings["source_row"]) == [9, 10]
    assert list(pd.read_parquet(run.unlabelled)["sample_id"]) == ["3.png"]
    manifest = pd.read_parquet(run.manifest)
    assert (len(manifest), manifest.attrs["unit"]) == (21, "g")
    said = "\n".join(sentences.said)
    assert "1 x the target is missing" in said
    assert "warnings: 1 x the cell is not a number; 1 x a rule is broken" in said
    assert "1 good images are kept apart" in said


def test_strict_stops_and_lists(words, tmp_path) -> None:
    """Nothing is prepared, but everything that is to be mended is listed."""
    with pytest.raises(DataValidationError, match=r"data.strict=true and 3 faults in 3 rows.*rejected.csv"):
        run_tiny([*words, "data.strict=true"], "prepare")
    run = RunFolder(tmp_path / "run")
    assert len(pd.read_csv(run.rejected)) == 3
    assert not run.manifest.exists()


@pytest.mark.parametrize(
    ("change", "is_done_again"),
    [
        ("data.rules=['age < 800']", True),
        ("data.rule_tolerance=0.5", True),
        ("data.split.near_duplicates=false", True),
        ("data.target_max=20", True),
        ("data.workers=2", False),
        ("data.resize=crop", False),
    ],
)
def test_what_starts_the_step_anew(words, change, is_done_again) -> None:
    """Settings that the manifest or the split depends on, and no others."""
    run_tiny(words, "prepare")
    assert bool(run_tiny([*words, change], "prepare")[1].done()) is is_done_again


def test_changed_cell_starts_the_step_anew(words, tmp_path) -> None:
    """Also one that is only a warning."""
    run_tiny(words, "prepare")
    table = tmp_path / "table.csv"
    table.write_bytes(table.read_bytes().replace(b"old", b"odd"))
    assert run_tiny(words, "prepare")[1].done() == ["prepare"]
    assert run_tiny(words, "prepare")[1].reused() == ["prepare"]


def test_look_at_data_writes_no_run(words, tmp_path) -> None:
    """Looking is what preparing and inspecting share; the folder of the run stays as it is."""
    context = RunContext(compose_config(words), RunFolder(tmp_path / "nowhere"))
    looked = look_at_data(context)
    assert len(looked.facts.table) == len(looked.source.rows) == 24
    assert len(looked.validated.manifest) == 21
    assert not (tmp_path / "nowhere").exists()


def write_labelled(folder, rows, *extra):
    """Write a table `file, plant, part, kind` beside one picture a row, and return the words to prepare it."""
    for number, row in enumerate(rows):
        write_blocks(folder / "images" / row[0], seed=number)
    table = write_csv(folder / "table.csv", ["file", "plant", "part", "kind"], rows)
    data = ["data=table", f"data.table={table}", f"data.images={folder / 'images'}", "data.label=kind"]
    return run_words([*data, "data.group_by=[plant]"], folder / "run", *extra)


def test_images_without_a_group_are_said_loudly(tmp_path) -> None:
    """The number and the empty column are said and listed, because one plant may stand in two splits then."""
    rows = [[f"{number}.png", number // 2 if number > 3 else "", "", "ab"[number % 2]] for number in range(24)]
    run, sentences = run_tiny(write_labelled(tmp_path, rows), "prepare")
    said = "\n".join(sentences.said)
    assert "4 of 24 images have no group id (column 'plant' is empty); each is treated as a plant of its own" in said
    assert pd.read_csv(run.warnings)["reason"].str.contains("4 of 24 images have no group id").sum() == 1


def test_copies_with_other_labels_are_listed(tmp_path) -> None:
    """Both stay in the manifest, and each is named with the other and its label."""
    rows = [[f"{number:02}.png", number, "", "ab"[number % 2]] for number in range(24)]
    words = write_labelled(tmp_path, rows)
    with Image.open(tmp_path / "images" / "00.png") as picture:
        picture.convert("RGB").point(lambda value: min(value + 1, 255)).save(tmp_path / "images" / "01.png")
    run, sentences = run_tiny(words, "prepare")
    warnings = pd.read_csv(run.warnings)
    assert list(warnings["path"]) == ["00.png", "01.png"]
    assert warnings["reason"][0].endswith("another answer: '01.png' has the label 'b'")
    said = "\n".join(sentences.said)
    assert "2 x the picture is a copy of another that has another answer; both are kept" in said
    assert "1 of them join groups with different labels: for example 00.png and 01.png" in said


def test_what_was_taken_from_an_official_split_is_said(tmp_path) -> None:
    """The splits that the official one does not have were drawn from its train part; too many folds are said too."""
    rows = [[f"{number}.png", number, "train" if number < 20 else "val", "ab"[number % 2]] for number in range(24)]
    words = write_labelled(tmp_path, rows, "data.split.column=part", "data.split.test=0.25", "data.split.folds=30")
    run, sentences = run_tiny(words, "prepare")
    said = "\n".join(sentences.said)
    tests = int((pd.read_parquet(run.split)["split"] == "test").sum())
    folds = 24 - tests
    assert f"has no test: {tests} images were taken out of its train part by group; data.split.test=0 keeps" in said
    assert f"data.split.folds=30, but only {folds} groups stand outside test: {folds} folds were drawn" in said
