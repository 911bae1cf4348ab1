"""Splits made elsewhere are understood, checked, kept, and completed by group."""

import numpy as np
import pandas as pd
import pytest

from factories.tables import make_manifest, write_csv
from phytoscope.data.readers.split_names import is_split_name, official_split_of
from phytoscope.data.split import split_by_group
from phytoscope.data.split.official_split import read_given_column, read_split
from phytoscope.errors import ConfigError, SplitError, SplitLeakageError
from phytoscope.schema.data_config import SplitConfig
from phytoscope.schema.table import Task

OFFICIAL = SplitConfig(column="Set")


def make_official(names, n_groups=40, size=3):
    groups = np.repeat([f"g{number:02d}" for number in range(n_groups)], size)
    manifest = make_manifest(groups, np.repeat(np.arange(n_groups) % 2, size).astype(str), task=Task.classification)
    manifest["meta/set"] = np.repeat([names[number % len(names)] for number in range(n_groups)], size)
    return manifest


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        (" Training", "train"),
        ("VALID", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("Calib", "calibration"),
        ("cal", "calibration"),
        ("holdout", "test"),
        ("Testing", "test"),
    ],
)
def test_usual_names_are_understood(name, split):
    """People write the splits in many ways."""
    assert is_split_name(name)
    assert official_split_of(pd.Series([name], index=[7])).to_dict() == {7: split}


def test_other_values_are_counted():
    """Values that name no split, and empty cells, are listed with what is allowed."""
    names = pd.Series(["train", "foo", "foo", None, float("nan"), "", 3.0], dtype=object)
    match = r"says nothing \(3 images\), 'foo' \(2 images\), '3' \(1 images\) where .*train: train, training; val: val"
    with pytest.raises(SplitError, match=match):
        official_split_of(names)
    assert not is_split_name("foo")


def test_whole_official_split_is_kept():
    """Nothing is drawn where the column names all four splits, in whatever words."""
    manifest = make_official(["Train", "train", "dev", "cal", "holdout"])
    split = split_by_group(manifest, Task.classification, OFFICIAL, 0)
    assert list(split["split"]) == list(official_split_of(manifest["meta/set"]))
    assert set(split.loc[split["split"] == "test", "fold"]) == {-1}
    assert set(split.loc[split["split"] != "test", "fold"]) == {0, 1, 2, 3, 4}


def test_missing_splits_are_drawn_from_train():
    """Val and calibration come out of the official train part, by group, as shares of all images; test stays."""
    manifest = make_official(["train", "train", "train", "test"])
    split = split_by_group(manifest, Task.classification, OFFICIAL, 0)
    assert ((split["split"] == "test") == (manifest["meta/set"] == "test")).all()
    assert split["split"].value_counts().to_dict() == {"train": 66, "test": 30, "val": 12, "calibration": 12}
    assert split.drop_duplicates(["group_id", "split"])["group_id"].is_unique


def test_share_of_zero_is_not_drawn():
    """0.0 means none, in an official split too."""
    manifest = make_official(["train", "train", "train", "test"])
    config = SplitConfig(column="set", calibration=0.0)
    assert set(split_by_group(manifest, Task.classification, config, 0)["split"]) == {"train", "val", "test"}


def test_leaking_official_split_is_refused():
    """The text names the pair with both splits and says what to do."""
    manifest = make_official(["train", "test"])
    manifest.loc[0, "meta/set"] = "test"
    match = r"official split in column 'Set' leaks: 1 pair .*'00001.png' \(train\) and '00000.png' \(test\) .*leave out"
    with pytest.raises(SplitLeakageError, match=match):
        split_by_group(manifest, Task.classification, OFFICIAL, 0)


def test_near_copies_in_the_official_split_are_refused():
    """Copies that look the same count even when groups and bytes differ."""
    manifest = make_official(["train", "test"], size=1)
    manifest["duplicate_id"] = manifest["sha256"]
    manifest.loc[1, "duplicate_id"] = manifest["duplicate_id"][0]
    with pytest.raises(SplitLeakageError, match="show the same picture"):
        split_by_group(manifest, Task.classification, OFFICIAL, 0)


def test_official_train_part_may_be_too_small():
    """There must be something left to train on after the missing splits are drawn."""
    with pytest.raises(SplitError, match="20% of the images in train, too few to take val and calibration from it"):
        split_by_group(make_official(["train", *["test"] * 4]), Task.classification, OFFICIAL, 0)
    with pytest.raises(SplitError, match="0% of the images in train, too few to take calibration"):
        split_by_group(make_official(["val", "test"]), Task.classification, OFFICIAL, 0)


def test_unknown_column_names_the_nearest():
    """A misspelt column is a mistake in the settings."""
    with pytest.raises(ConfigError, match=r"data.split.column: there is no column 'sett'; did you mean 'set'"):
        split_by_group(make_official(["train"]), Task.classification, SplitConfig(column="sett"), 0)
    manifest = make_official(["train"]).drop(columns="meta/set")
    with pytest.raises(ConfigError, match="the data have no columns of their own"):
        split_by_group(manifest, Task.classification, OFFICIAL, 0)


def make_files():
    manifest = make_manifest([*"abcd"], range(4))
    manifest["sample_id"] = ["x/a.png", "x/b.png", "y/b.png", "y/c.png"]
    manifest["path"] = "/photos/" + manifest["sample_id"]
    return manifest


@pytest.mark.parametrize(
    "names",
    [
        ["x/a.png", "x/b.png", "y/b.png", "y/c.png"],
        ["./x/a.png", "x\\b.png", "/photos/y/b.png", "c.png"],
        ["photos/x/a.png", "photos\\x\\b.png", "/photos/y/b.png", "photos/y/c.png"],
    ],
)
def test_images_are_found_by_name_path_or_file(tmp_path, names):
    """Each line is matched by sample, by path, or by a file name that is the only one."""
    rows = [[name, split] for name, split in zip(names, ["train", "train", "val", "test"], strict=True)]
    split = read_split(write_csv(tmp_path / "s.csv", ["image", "subset"], rows[::-1]), make_files()).table
    assert split.to_numpy().tolist() == [
        ["x/a.png", "train"],
        ["x/b.png", "train"],
        ["y/b.png", "val"],
        ["y/c.png", "test"],
    ]


def test_own_split_file_is_read(tmp_path):
    """What was drawn and saved comes back as it was."""
    manifest = make_official(["train"])
    drawn = split_by_group(manifest, Task.classification, SplitConfig(), 0)
    drawn.to_parquet(tmp_path / "split.parquet")
    read = read_split(tmp_path / "split.parquet", manifest)
    assert list(read.table["split"]) == list(drawn["split"])
    assert read.unknown == []


def test_ambiguous_file_name_is_not_guessed(tmp_path):
    """Two images are called b.png, so that name alone tells nothing; lines about other images do no harm."""
    rows = [["b.png", "train"], ["a.png", "test"], ["gone.png", "whatever"], [None, "train"]]
    split = read_split(write_csv(tmp_path / "s.csv", ["file", "split"], rows), make_files())
    assert split.table.to_numpy().tolist() == [["x/a.png", "test"]]
    assert split.unknown == ["b.png", "gone.png"]


def test_name_with_a_folder_is_not_the_file_in_another(tmp_path):
    """An image that is not there does not hand its split to its namesake elsewhere."""
    rows = [["x/b.png", "train"], ["y/b.png", "test"], ["z/a.png", "test"], ["other/x/a.png", "test"]]
    manifest = make_files().iloc[[0, 2, 3]]
    split = read_split(write_csv(tmp_path / "s.csv", ["file", "split"], rows), manifest)
    assert split.table.to_numpy().tolist() == [["y/b.png", "test"]]
    assert split.unknown == ["x/b.png", "z/a.png", "other/x/a.png"]


def test_bare_name_is_matched_against_all_images(tmp_path):
    """Of an image that was left out the namesake is not meant."""
    rows = [["b.png", "train"], ["c.png", "test"]]
    assert read_split(write_csv(tmp_path / "s.csv", ["file", "split"], rows), make_files()).unknown == ["b.png"]


def test_column_speaks_of_rows_that_were_left_out(tmp_path):
    """They have a split too, whatever is wrong with them; what names no split there is passed over."""
    rows = make_official(["train", "test"], n_groups=4, size=1)
    rows.loc[2, "meta/set"] = "unsure"
    again = rows.iloc[[1]].assign(**{"meta/set": "dev"})
    given = read_given_column(rows.iloc[[0, 1]], pd.concat([rows, again], ignore_index=True), "SET")
    names = list(rows["sample_id"])
    assert given.table.to_numpy().tolist() == [
        [names[0], "train"],
        [names[1], "test"],
        [names[3], "test"],
        [names[1], "val"],
    ]


@pytest.mark.parametrize(
    ("header", "rows", "match"),
    [
        (["image", "group"], [["a.png", "train"]], "has no column with splits .*Columns: image, group"),
        (["who", "split"], [["a.png", "train"]], "has no column with images .*Columns: who, split"),
        (["image", "split"], [["z.png", "train"]], "none of the 1 names in column 'image' .*'z.png'.*'x/a.png'"),
        (["image", "split"], [["a.png", "foo"]], r"says 'foo' \(1 images\)"),
        (["image", "split"], [["a.png", "train"], ["x/a.png", "test"]], "puts 1 images in two splits .*'x/a.png'"),
    ],
)
def test_bad_split_file_is_refused(tmp_path, header, rows, match):
    """Each fault of the file is said with what was found."""
    with pytest.raises(SplitError, match=match):
        read_split(write_csv(tmp_path / "s.csv", header, rows), make_files())


def test_split_proper_wins_over_cameras(tmp_path):
    """A column `subset` with camera names beside `phase` with splits is not taken for the split."""
    path = write_csv(tmp_path / "s.csv", ["image", "subset", "phase"], [["a.png", "cam1", "train"]])
    assert list(read_split(path, make_files()).table["split"]) == ["train"]
