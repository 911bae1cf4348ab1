"""Two versions of the data are told apart image by image, and equal ones are equal."""

import numpy as np
import pandas as pd
import pytest

from phytoscope.data.versions import Change, compare_manifests, read_version
from phytoscope.errors import DataNotFoundError, DataValidationError


def make_manifest(n=6, *, target=False):
    numbers = range(n)
    return pd.DataFrame(
        {
            "sample_id": [f"rust/{number}.jpg" for number in numbers],
            "sha256": [f"{number:064x}" for number in numbers],
            "label": None if target else ["rust"] * n,
            "target": np.arange(n) / 10 if target else np.full(n, np.nan),
            "group_id": [f"leaf{number // 2}" for number in numbers],
        }
    )


def changed(before, after):
    found = compare_manifests(before, after)
    return found.counts, found.changes


@pytest.mark.parametrize("target", [False, True])
def test_equal_manifests_are_equal(target):
    """The order of the rows is no change, and missing equals missing."""
    manifest = make_manifest(target=target)
    found = compare_manifests(manifest, manifest.iloc[::-1])
    assert found.is_equal
    assert found.counts == {}
    assert found.hash_before == found.hash_after


@pytest.mark.parametrize(
    ("column", "value", "change"),
    [
        ("sha256", "f" * 64, Change.changed_content),
        ("label", "scab", Change.relabelled),
        ("label", None, Change.relabelled),
        ("target", 0.0, Change.target_changed),
        ("group_id", "leaf2", Change.regrouped),
        ("sample_id", "rust/new.jpg", Change.renamed),
    ],
)
def test_each_change_alone(column, value, change):
    """One changed cell is one change of its kind, of that image (of a group: of all whose company changed)."""
    before = make_manifest()
    after = before.astype({"label": object}).copy()
    after.loc[1, column] = value
    counts, changes = changed(before, after)
    assert list(counts) == [change.value]
    assert "rust/1.jpg" in set(changes["sample_id_before"])
    if change is not Change.regrouped:
        assert counts[change.value] == 1
    assert compare_manifests(before, after).hash_before != compare_manifests(before, after).hash_after


def test_added_and_removed():
    """Each under its own name."""
    _, changes = changed(make_manifest(4), make_manifest(6).iloc[1:])
    rows = list(zip(changes["change"], changes["sample_id"], strict=True))
    assert rows == [("added", "rust/4.jpg"), ("added", "rust/5.jpg"), ("removed", "rust/0.jpg")]


def test_moved_to_another_class_folder():
    """In a folder of classes a new label is a new name: both are told, and nothing is added or removed."""
    after = make_manifest()
    after.loc[2, ["sample_id", "label"]] = ["scab/2.jpg", "scab"]
    counts, changes = changed(make_manifest(), after)
    assert counts == {"renamed": 1, "relabelled": 1}
    [row] = changes[changes["change"] == "relabelled"].to_dict("records")
    assert (row["before"], row["after"]) == ("rust", "scab")
    assert (row["sample_id_before"], row["sample_id"]) == ("rust/2.jpg", "scab/2.jpg")


def test_copies_are_paired_one_to_one():
    """Of two copies renamed and one more added, one is added."""
    before, after = make_manifest(2), make_manifest(3)
    before["sha256"] = after["sha256"] = "a" * 64
    after["sample_id"] = ["x", "y", "z"]
    assert changed(before, after)[0] == {"added": 1, "renamed": 2}


def test_renamed_group_is_not_regrouped():
    """The same images under another group name stand with whom they stood."""
    after = make_manifest()
    after["group_id"] = "new-" + after["group_id"]
    assert changed(make_manifest(), after)[0] == {"group_renamed": 6}


def test_merged_groups_are_regrouped():
    """All members of the joined groups have new company."""
    after = make_manifest()
    after["group_id"] = after["group_id"].replace("leaf1", "leaf0")
    counts, changes = changed(make_manifest(), after)
    assert counts == {"regrouped": 4}
    assert set(changes["sample_id"]) == {f"rust/{number}.jpg" for number in range(4)}


class TestOwnColumns:
    """Columns of the user's own table."""

    def test_changed_value_is_named_with_its_column(self):
        """Each image and column that changed; an image with two changed columns counts once."""
        before = make_manifest().assign(**{"meta/age": range(6), "meta/cultivar": ["Gala", None] * 3})
        after = before.copy()
        after.loc[[1, 2], "meta/age"] = [9, 10]
        after.loc[1, "meta/cultivar"] = "Fuji"
        found = compare_manifests(before, after)
        assert (found.counts, found.changed_columns) == ({"changed_columns": 2}, {"age": 2, "cultivar": 1})
        assert found.hash_before != found.hash_after
        [row] = found.changes[found.changes["column"] == "cultivar"].to_dict("records")
        assert (row["sample_id"], row["before"], row["after"]) == ("rust/1.jpg", "", "Fuji")

    def test_added_and_removed_columns(self):
        """They are named once, and not for every image."""
        before, after = make_manifest().assign(**{"meta/old": 1}), make_manifest().assign(**{"meta/new": 1})
        found = compare_manifests(before, after)
        assert (found.added_columns, found.removed_columns, found.counts) == (("new",), ("old",), {})
        assert not found.is_equal
        assert found.hash_before != found.hash_after

    def test_another_way_to_store_a_number_is_no_change(self):
        """A column of whole numbers becomes one of decimal numbers where one is missing."""
        before = make_manifest().assign(**{"meta/age": range(6)})
        found = compare_manifests(before, before.astype({"meta/age": float}))
        assert (found.is_equal, found.hash_before) == (True, found.hash_after)


def test_moves_are_told_when_both_have_a_split():
    """Without a split on one side nobody has moved."""
    before = make_manifest().assign(split="train")
    after = before.copy()
    after.loc[3, "split"] = "test"
    assert changed(before, after)[0] == {"moved": 1}
    found = compare_manifests(before.drop(columns="split"), after)
    assert (found.is_equal, found.has_splits) == (True, False)


def test_empty_manifests():
    """No image is no change."""
    empty = make_manifest(0)
    assert compare_manifests(empty, empty).is_equal
    assert compare_manifests(empty, make_manifest(2)).counts == {"added": 2}


class TestReading:
    """Where a version lies."""

    def test_folder_and_file(self, tmp_path):
        """A folder brings its split along; a file is the manifest alone."""
        make_manifest().to_parquet(tmp_path / "manifest.parquet")
        split = make_manifest()[["sample_id", "group_id"]].assign(split="train", fold=0)
        split.to_parquet(tmp_path / "split.parquet")
        assert set(read_version(tmp_path)["split"]) == {"train"}
        assert "split" not in read_version(tmp_path / "manifest.parquet")
        assert compare_manifests(read_version(tmp_path), make_manifest()).is_equal

    def test_nothing_there(self, tmp_path):
        """An empty folder and a wrong path are said to hold no manifest."""
        for path in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(DataNotFoundError, match="there is no manifest in"):
                read_version(path)

    def test_other_files(self, tmp_path):
        """A table of something else, a damaged file and repeated names are refused with the reason."""
        path = tmp_path / "manifest.parquet"
        pd.DataFrame({"sample_id": ["a"], "sha256": ["b"]}).to_parquet(path)
        with pytest.raises(DataValidationError, match="the columns label, target, group_id are missing"):
            read_version(path)
        pd.concat([make_manifest(2), make_manifest(1)]).to_parquet(path)
        with pytest.raises(DataValidationError, match=r"'rust/0\.jpg' occurs twice"):
            read_version(path)
        path.write_bytes(b"PAR1 not at all")
        with pytest.raises(DataValidationError, match="cannot be read as Parquet"):
            read_version(path)
