"""Every image is opened once, every fault is listed with its reason, and the rest goes on."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factories.images import broken_files, encode, make_pixels, write_image
from factories.tables import look_and_validate, make_source
from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.data.source import Fault
from phytoscope.data.validate.table_schema import check_manifest
from phytoscope.data.validate.validation import check_learnable, check_strict, summarise_rejected, validate_source
from phytoscope.errors import DataValidationError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import MANIFEST_COLUMNS, REJECTED_COLUMNS, UNLABELLED_COLUMNS, Task

BROKEN = broken_files()
CLASSES = ["rust", "healthy", "rust"]


def validate(source, **options):
    folder = Path(source.rows["path"].iloc[0]).parent
    return look_and_validate(source, folder / "looked", DataConfig(DataKind.table, workers=1, **options))


def reasons_of(validated):
    return {path: list(part["reason"]) for path, part in validated.rejected.groupby("path")}


def test_sound_rows_become_the_manifest(tmp_path):
    """One row an image, with its size, its hash and a group of its own where none was given."""
    source = make_source(tmp_path, [1.0, 2.0, 3.0], groups=["p1", "p1", None])
    validated = validate(source)
    manifest = validated.manifest
    assert tuple(manifest.columns) == MANIFEST_COLUMNS
    assert list(manifest["target"]) == [1.0, 2.0, 3.0]
    assert set(zip(manifest["height_px"], manifest["width_px"], strict=True)) == {(12, 16)}
    assert list(manifest["group_id"][:2]) == ["p1", "p1"]
    assert manifest["group_id"][2] == f"image/{manifest['sha256'][2][:16]}"
    assert (tuple(validated.rejected.columns), len(validated.rejected)) == (REJECTED_COLUMNS, 0)


def test_rows_without_a_group_are_not_one_giant_group(tmp_path):
    """Nothing is known about them, so each stands alone."""
    assert validate(make_source(tmp_path, range(5))).manifest["group_id"].nunique() == 5


def test_order_of_the_rows_does_not_matter(tmp_path):
    """The manifest is sorted by name."""
    source = make_source(tmp_path, [1.0, 2.0, 3.0])
    turned = dataclasses.replace(source, rows=source.rows.iloc[::-1].reset_index(drop=True))
    pd.testing.assert_frame_equal(validate(source).manifest, validate(turned).manifest)


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_image_is_rejected_and_the_rest_goes_on(tmp_path, fault):
    """One bad file costs one row."""
    content, text = BROKEN[fault]
    source = make_source(tmp_path, CLASSES, task=Task.classification)
    (tmp_path / "1.png").write_bytes(content)
    validated = validate(source)
    assert list(validated.manifest["sample_id"]) == ["0.png", "2.png"]
    [row] = validated.rejected.to_dict("records")
    assert (row["path"], row["source_row"]) == ("1.png", 3)
    assert text in row["reason"]
    assert row["remedy"]


def test_missing_file_folder_and_extension_are_told_apart(tmp_path):
    """The reason says which of them it was."""
    source = make_source(tmp_path, [1.0, 2.0, 3.0, 4.0])
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").unlink()
    (tmp_path / "1.png").mkdir()
    source.rows.loc[2, ["sample_id", "path"]] = ["2.gif", str(tmp_path / "2.gif")]
    assert reasons_of(validate(source)) == {
        "0.png": ["the file does not exist"],
        "1.png": ["this is a folder, not a file"],
        "2.gif": ["unknown image extension '.gif'"],
    }


def test_all_faults_of_a_row_are_listed(tmp_path):
    """One pass names everything there is to mend."""
    source = make_source(tmp_path, [-1.0, np.nan, 5.0])
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_bytes(b"")
    assert reasons_of(validate(source, target_min=0.0)) == {
        "0.png": ["the target is below 0", "the file does not exist"],
        "1.png": ["the target is missing", "the file is empty (0 bytes)"],
    }


def test_bounds_are_included(tmp_path):
    """The smallest and the largest possible value are possible; bounds of 0 count."""
    validated = validate(make_source(tmp_path, [-0.1, 0.0, 2.0, 2.1]), target_min=0.0, target_max=2.0)
    assert list(validated.manifest["target"]) == [0.0, 2.0]
    assert list(validated.rejected["value"]) == ["-0.1", "2.1"]
    assert list(validated.rejected["remedy"].str.extract(r"(data\.target_\w+)")[0]) == [
        "data.target_min",
        "data.target_max",
    ]


def test_upper_bound_of_zero_counts(tmp_path):
    """Zero is a bound, not the absence of one."""
    assert list(validate(make_source(tmp_path, [-1.0, 1.0]), target_max=0.0).manifest["target"]) == [-1.0]


def test_missing_label_is_rejected(tmp_path):
    """An image without a class teaches nothing."""
    validated = validate(make_source(tmp_path, ["a", None, "b"], task=Task.classification))
    assert reasons_of(validated) == {"1.png": ["the label is missing"]}


@pytest.mark.parametrize(
    ("answers", "rejected", "match"),
    [
        ([1.0, 1.0, 2.0], [3], "listed more than once: first in line 2"),
        ([1.0, 5.0, 2.0], [2, 3], "listed more than once with different values: lines 2, 3"),
        ([1.0, np.nan, 2.0], [2, 3], "different values: lines 2, 3"),
    ],
)
def test_image_listed_twice(tmp_path, answers, rejected, match):
    """Equal rows are one; of different ones nobody knows which is right."""
    source = make_source(tmp_path, answers)
    source.rows.loc[1, ["sample_id", "path"]] = source.rows.loc[0, ["sample_id", "path"]]
    validated = validate(source)
    listed = validated.rejected[validated.rejected["reason"].str.contains(match)]
    assert list(listed["source_row"]) == rejected
    assert len(validated.manifest) == 3 - len(rejected)


@pytest.mark.parametrize("answers", [["a", "b", "c"], [1.0, 2.0, 3.0]])
def test_same_picture_with_different_answers_is_rejected(tmp_path, answers):
    """Both rows are named with the other's name and answer."""
    task = Task.classification if isinstance(answers[0], str) else Task.regression
    source = make_source(tmp_path, answers, task=task)
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    validated = validate(source)
    assert list(validated.manifest["sample_id"]) == ["2.png"]
    assert reasons_of(validated) == {
        "0.png": [f"the same picture has another answer elsewhere: 1.png ({answers[1]})"],
        "1.png": [f"the same picture has another answer elsewhere: 0.png ({answers[0]})"],
    }


def test_same_picture_with_the_same_answer_is_kept(tmp_path):
    """A copy is no fault, but it has the same hash, and without a group the same group."""
    source = make_source(tmp_path, ["a", "a", "b"], task=Task.classification)
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    validated = validate(source)
    assert len(validated.manifest) == 3
    assert validated.manifest["group_id"][0] == validated.manifest["group_id"][1]


def test_faults_of_the_reader_are_kept(tmp_path):
    """What was unusable before any image was opened stands in the same list."""
    source = make_source(tmp_path, [1.0, np.nan])
    text = Fault("1.png", "the target is text: 'x' is not a number", "write a number", "weight_g", "x", 3)
    validated = validate(
        dataclasses.replace(source, faults=[text, Fault("", "no image is named", "name it", source_row=9)])
    )
    assert list(validated.rejected["reason"]) == [text.reason, "no image is named"]
    assert list(validated.manifest["sample_id"]) == ["0.png"]


def test_rejected_table_survives_csv(tmp_path):
    """Reasons with commas and names with quotes come back as they were."""
    source = make_source(tmp_path, [1.0, 2.0])
    (tmp_path / "0.png").write_bytes(b"no image, really")
    rejected = validate(source).rejected
    rejected.to_csv(tmp_path / "rejected.csv", index=False)
    read = pd.read_csv(tmp_path / "rejected.csv", dtype={"source_row": "Int64"}, keep_default_na=False)
    assert read.astype(object).to_numpy().tolist() == rejected.astype(object).to_numpy().tolist()


def test_all_images_missing_is_one_clear_error(tmp_path):
    """Nothing usable is an error that sums up why, not an empty manifest to train on."""
    source = make_source(tmp_path, [1.0, 2.0, 3.0])
    for path in source.rows["path"]:
        Path(path).unlink()
    validated = validate(source)
    with pytest.raises(DataValidationError, match="none of the 3 images can be used: 3 x the file does not exist"):
        check_learnable(validated, source)
    assert len(validated.rejected) == 3


def test_text_target_counts_a_row_once(tmp_path):
    """A target that is text everywhere leaves nothing, and each row is counted once."""
    source = make_source(tmp_path, [np.nan, np.nan])
    faults = [Fault(f"{n}.png", "the target is text: 'x' is not a number", "", "weight_g", "x", n + 2) for n in (0, 1)]
    source = dataclasses.replace(source, faults=faults)
    with pytest.raises(DataValidationError, match="none of the 2 images can be used: 2 x the target is text"):
        check_learnable(validate(source), source)


def test_one_class_only_is_refused(tmp_path):
    """With one class there is nothing to tell apart; the message says what became of the others."""
    source = make_source(tmp_path, ["rust", "healthy", "rust"], task=Task.classification)
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(DataValidationError, match=r"only one class .*\('rust'\); at least two .*1 x the file is empty"):
        check_learnable(validate(source), source)


def test_no_label_at_all_is_refused(tmp_path):
    """A column of labels that is empty from top to bottom is named as the reason."""
    source = make_source(tmp_path, [None, None], task=Task.classification)
    with pytest.raises(DataValidationError, match="none of the 2 images can be used: 2 x the label is missing"):
        check_learnable(validate(source), source)


def test_constant_target_is_refused(tmp_path):
    """A number that never changes cannot be learned."""
    source = make_source(tmp_path, [0.0, 0.0, 0.0])
    with pytest.raises(DataValidationError, match="'weight_g' is 0 in every usable row"):
        check_learnable(validate(source), source)


@pytest.mark.parametrize(("answers", "task"), [(CLASSES, Task.classification), ([0.0, 1.0, 0.0], Task.regression)])
def test_learnable_data_pass(tmp_path, answers, task):
    """Two classes or two values are enough to begin."""
    source = make_source(tmp_path, answers, task=task)
    check_learnable(validate(source), source)


def test_summary_counts_reasons():
    """The most frequent reason comes first, details are left out, the rest is counted."""
    reasons = ["b: 1", "b: 2", *"acdefgh"]
    summary = summarise_rejected(pd.DataFrame({"reason": reasons}))
    assert summary.startswith("2 x b; 1 x ")
    assert summary.endswith("and 2 other reasons")
    assert summarise_rejected(pd.DataFrame({"reason": []})) == ""


def test_size_limit_is_the_users(tmp_path):
    """data.max_megapixels decides which image is too large."""
    source = make_source(tmp_path, [1.0, 2.0])
    write_image(tmp_path / "1.png", height=40, width=50)
    validated = validate(source, max_megapixels=1e-3)
    assert reasons_of(validated) == {
        "1.png": ["50 x 40 pixels are more than the limit of 0.001 megapixels (data.max_megapixels)"]
    }


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".PNG", ".tif", ".webp", ".bmp"])
def test_content_counts_and_not_the_name(tmp_path, suffix):
    """A PNG that is called .jpg is an image all the same."""
    source = make_source(tmp_path, [1.0])
    (tmp_path / f"x{suffix}").write_bytes(encode(make_pixels()))
    source.rows.loc[0, ["sample_id", "path"]] = [f"x{suffix}", str(tmp_path / f"x{suffix}")]
    assert len(validate(source).manifest) == 1


def test_good_images_without_an_answer_are_kept_apart(tmp_path):
    """They lack nothing but the label: they are listed and not thrown away."""
    source = make_source(tmp_path, ["a", None, None, "b"], task=Task.classification, groups=["p", None, "q", "r"])
    (tmp_path / "2.png").write_bytes(b"")
    validated = validate(source)
    assert tuple(validated.unlabelled.columns) == UNLABELLED_COLUMNS
    assert list(validated.unlabelled["sample_id"]) == ["1.png"]
    assert validated.unlabelled["group_id"][0].startswith("image/")
    assert "unlabelled.parquet" in validated.rejected["remedy"][0]


def test_unreadable_target_is_not_unlabelled(tmp_path):
    """Somebody has measured that plant: the cell is to be mended."""
    source = make_source(tmp_path, [1.0, np.nan, 2.0])
    fault = Fault("1.png", "the target is text: 'x' is not a number", "write a number", "weight_g", "x", 3)
    assert validate(dataclasses.replace(source, faults=[fault])).unlabelled.empty


@pytest.mark.parametrize(
    ("answers", "rejected"),
    [
        (["Early Blight", "early_blight", "early_blight", "healthy"], {"0.png": "early_blight"}),
        (["rust", "Rust", "healthy", "scab"], {"0.png": "Rust"}),
        (["stage 1_2", "stage 12", "1", "-1"], {}),
        (["a", "b", "A", "B"], {"0.png": "A", "1.png": "B"}),
    ],
)
def test_labels_that_are_nearly_alike(tmp_path, answers, rejected):
    """The rarer spelling is left out and the frequent one is named; numbers in names are left alone."""
    validated = validate(make_source(tmp_path, answers, task=Task.classification))
    said = dict(zip(validated.rejected["path"], validated.rejected["remedy"], strict=True))
    assert set(said) == set(rejected)
    assert all(f"did you mean {other!r}" in said[path] for path, other in rejected.items())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("LEAF.PNG", "Leaf.png"),
        ("leaf.jpg", "Leaf.png"),
        ("Leaf", "Leaf.png"),
        ("deep.png", "sub/deep.png"),
        ("gone.png", None),
        ("https://example.org/a.png", "web address"),
    ],
)
def test_missing_image_is_looked_for(tmp_path, written, meant):
    """Case, extension and folder are the usual slips."""
    source = make_source(tmp_path, [1.0, 2.0])
    write_image(tmp_path / "Leaf.png", seed=9)
    write_image(tmp_path / "sub" / "deep.png", seed=10)
    source.rows.loc[1, ["sample_id", "path"]] = [written, f"{tmp_path}/{written}"]
    [remedy] = validate(source).rejected["remedy"]
    assert (meant in remedy) if meant else remedy == "copy the image to this place or remove the row"


@pytest.mark.parametrize(("unit", "kept"), [("g", 1), ("°C", 2)])
def test_negative_weight_is_a_fault_without_being_told(tmp_path, unit, kept):
    """A mass cannot be negative, a temperature can."""
    source = dataclasses.replace(make_source(tmp_path, [1.0, -0.5]), target_name="y")
    assert len(validate(source, unit=unit).manifest) == kept


def test_negative_weight_may_be_allowed(tmp_path):
    """Who gives a smallest value knows better."""
    assert len(validate(make_source(tmp_path, [1.0, -0.5]), target_min=-1.0).manifest) == 2


def test_code_for_not_measured_is_named(tmp_path):
    """-999 is no weight, whatever the limits are."""
    validated = validate(make_source(tmp_path, [1.0, -999.0, 2.0]), target_min=0.0)
    assert list(validated.rejected["reason"]) == ["the target is a code for 'not measured'"]


def test_strict_refuses_any_fault_and_no_warning(tmp_path):
    """The text counts the faults and says where they are listed."""
    validated = validate(make_source(tmp_path, [1.0, np.nan, -1.0]))
    with pytest.raises(DataValidationError, match=r"strict=true and 2 faults in 2 rows: .*listed in 'r.csv'"):
        check_strict(validated, Path("r.csv"))
    sound = dataclasses.replace(validated, warnings=validated.rejected, rejected=validated.rejected.iloc[:0])
    check_strict(sound, Path("r.csv"))


def test_facts_of_other_rows_are_refused(tmp_path):
    """A slip of a caller shows at once."""
    source = make_source(tmp_path, [1.0, 2.0])
    facts = ImageFacts(pd.DataFrame({"path": ["a"], "reason": [""]}))
    with pytest.raises(ValueError, match="1 facts are given for 2 images"):
        validate_source(source, DataConfig(DataKind.table), facts, SilentProgress())


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("sha256", "x", "sha256: 64 hexadecimal digits fails"),
        ("sample_id", "0.png", "sample_id: .*unique"),
        ("target", np.inf, "target: finite"),
        ("group_id", None, "group_id: not_nullable"),
        ("width_px", 0, "width_px: at least 1 px"),
    ],
)
def test_manifest_keeps_its_promises(tmp_path, column, value, match):
    """A manifest that is not sound is refused with the column and the promise."""
    manifest = validate(make_source(tmp_path, [1.0, 2.0])).manifest
    check_manifest(manifest, Task.regression)
    manifest.loc[1, column] = value
    with pytest.raises(DataValidationError, match=match):
        check_manifest(manifest, Task.regression)
