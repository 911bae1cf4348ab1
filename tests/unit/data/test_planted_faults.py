"""Every planted fault is reported where it stands, with its reason, and nothing else is."""

from pathlib import Path

import pandas as pd
import pytest

from factories.planted_faults import ERROR, STYLES, WARNING, Planted, plant_class_table, plant_folder, plant_table
from factories.tables import look_and_validate
from phytoscope.data.read import read_source

FAULTS_AT_LEAST = 60
BROKEN_FILES = {
    "",
    "20000 x 20000 pixels are more than the limit of 100 megapixels",
    "empty (0 bytes)",
    "floating-point",
    "not an image in a known format",
    "truncated",
}
KINDS = {
    plant_table: BROKEN_FILES
    | {
        "a code for 'not measured'",
        "a rule is broken: 0 <= age_days",
        "a rule is broken: condition in",
        "a rule is broken: fresh_weight =",
        "a rule is broken: fresh_weight_root >= 0",
        "a rule is broken: total_leaves =",
        "a rule is not checked because a column is missing",
        "above 50",
        "listed more than once: first",
        "negative",
        "neither seconds nor milliseconds",
        "no image is named",
        "the cell is no time",
        "the cell is no truth value",
        "the cell is not a number",
        "the file does not exist",
        "the image lies outside",
        "the name of the group differs",
        "the same picture has another answer",
        "the target is missing",
        "the target is negative",
        "the target is text",
        "unknown image extension",
        "with different values: lines",
    },
    plant_class_table: {
        "has another answer elsewhere",
        "only by case, space or underscore",
        "the label is missing",
        "with different values: lines",
    },
    plant_folder: BROKEN_FILES
    | {
        "has another answer elsewhere",
        "the class folder holds no image",
        "the folder differs from another only by case",
        "the image lies in no class folder",
        "unknown image extension",
    },
}
"""What each factory must plant: a kind that it loses is noticed, however many faults of the others there are."""


def kinds_of(planted: Planted) -> set[str]:
    """What is to be said, each kind once."""
    return {fault.reason for fault in planted.key}


def report(planted: Planted, folder: Path) -> pd.DataFrame:
    """What validation says, errors and warnings in one table."""
    validated = look_and_validate(read_source(planted.config), folder / "looked", planted.config)
    table = pd.concat(
        [validated.rejected.assign(severity=ERROR), validated.warnings.assign(severity=WARNING)], ignore_index=True
    )
    return table.assign(found=False)


def match(planted: Planted, said: pd.DataFrame) -> list[object]:
    """Marks in `said` what the key explains, and gives what of the key was not said."""
    missed: list[object] = []
    lines = said["source_row"].fillna(-1).astype(int)
    for fault in planted.key:
        same = (
            (said["severity"] == fault.severity)
            & (lines == (-1 if fault.line is None else fault.line))
            & (said["column"] == fault.column)
            & said["reason"].str.contains(fault.reason, regex=False)
            & ~said["found"]
        )
        if fault.path:
            same &= said["path"] == fault.path
        if same.any():
            said.loc[same.idxmax(), "found"] = True
        else:
            missed.append(fault)
    return missed


def check(planted: Planted, folder: Path) -> None:
    """All of the key and nothing else is said, each with what to do about it."""
    said = report(planted, folder)
    missed = match(planted, said)
    unexpected = said.loc[~said["found"], ["severity", "source_row", "path", "column", "value", "reason"]]
    assert missed == []
    assert unexpected.to_dict("records") == []
    assert (said["remedy"].str.len() > 0).all()


@pytest.mark.parametrize(("style", "seed"), [("german_csv", 0), ("german_csv", 1), ("english_csv", 2), ("workbook", 3)])
def test_planted_faults_of_a_table(tmp_path, style, seed):
    """Recall 1.0 and no false alarm, in every form a table is exported in."""
    planted = plant_table(tmp_path, seed, style)
    assert len(planted.key) >= FAULTS_AT_LEAST
    assert kinds_of(planted) == KINDS[plant_table]
    check(planted, tmp_path)


@pytest.mark.parametrize("style", STYLES)
def test_sound_table_has_no_fault(tmp_path, style):
    """What is only untidy is read, and nothing is said about it but the rule that cannot be checked."""
    planted = plant_table(tmp_path, 2, style, sound=True)
    assert len(planted.key) == 1
    check(planted, tmp_path)


@pytest.mark.parametrize("plant", [plant_class_table, plant_folder])
@pytest.mark.parametrize("sound", [False, True])
def test_planted_faults_of_classes(tmp_path, plant, sound):
    """The same for classes in a table and in folders."""
    planted = plant(tmp_path / "data", 5, sound=sound)
    assert kinds_of(planted) == (set() if sound else KINDS[plant])
    check(planted, tmp_path)


def test_forms_of_a_table_say_the_same(tmp_path):
    """A sound table means the same as CSV of either language and as a workbook."""
    rows = [
        read_source(plant_table(tmp_path / style, 3, style, sound=True).config).rows.drop(columns="path")
        for style in STYLES
    ]
    pd.testing.assert_frame_equal(rows[0], rows[1])
    pd.testing.assert_frame_equal(rows[0], rows[2])
