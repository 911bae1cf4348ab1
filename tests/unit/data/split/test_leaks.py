"""What stands on both sides of a split is found and told as pairs of images."""

import numpy as np
import pandas as pd
import pytest

from factories.tables import make_manifest
from phytoscope.data.split.leaks import LeakKind, check_split, find_leaks, summarise_leaks
from phytoscope.errors import SplitError, SplitLeakageError


def make_pair(splits, groups="aabb", pictures=None, clusters=None):
    manifest = make_manifest([*groups], range(len(groups)), pictures=pictures)
    if clusters is not None:
        manifest["duplicate_id"] = [*clusters]
    return manifest, pd.DataFrame({"sample_id": manifest["sample_id"], "split": splits})


def test_clean_split_has_no_leak():
    """Whole groups on both sides are what a split is."""
    manifest, split = make_pair(["train", "train", "test", "test"], clusters="wxyz")
    assert find_leaks(manifest, split) == []
    check_split(manifest, split)


@pytest.mark.parametrize(
    ("groups", "pictures", "clusters", "kind", "words"),
    [
        (
            "aacc",
            [0, 1, 2, 3],
            "wxyz",
            LeakKind.group,
            "'00000.png' (train) and '00001.png' (test) belong to the group 'a'",
        ),
        (
            "abcc",
            [0, 0, 2, 3],
            "wwyz",
            LeakKind.exact_copy,
            "'00000.png' (train) and '00001.png' (test) are copies of the same file",
        ),
        (
            "abcc",
            [0, 1, 2, 3],
            "wwyz",
            LeakKind.near_copy,
            "'00000.png' (train) and '00001.png' (test) show the same picture",
        ),
    ],
)
def test_planted_leak_is_told_once(groups, pictures, clusters, kind, words):
    """Each kind is told as a pair with both splits; a pair of copies is not told again as a group."""
    manifest, split = make_pair(["train", "test", "test", "test"], groups, pictures, clusters)
    (leak,) = find_leaks(manifest, split)
    assert (leak.kind, leak.text, leak.images) == (kind, words, 2)
    with pytest.raises(
        SplitLeakageError, match=r"the split leaks: 1 pair stands on both sides: .*Draw it again by group"
    ):
        check_split(manifest, split)


def test_order_of_the_rows_does_not_matter():
    """The same pairs are found in any order of both tables."""
    manifest, split = make_pair(["train", "test", "val", "train", "val", "test"], "aaabbb", clusters="uvwxyz")
    turned = find_leaks(manifest.iloc[::-1], split.sample(frac=1, random_state=0))
    assert turned == find_leaks(manifest, split)
    assert [leak.second_split for leak in turned] == ["val", "test", "val", "test"]


def test_group_torn_in_three_gives_two_pairs():
    """One pair for each split beside the earliest, with the images that are concerned."""
    manifest, split = make_pair(["test", "test", "val", "train"], "aaaa")
    leaks = find_leaks(manifest, split)
    assert [(leak.first_sample, leak.second_sample, leak.images) for leak in leaks] == [
        ("00003.png", "00002.png", 2),
        ("00003.png", "00000.png", 3),
    ]


def test_leak_of_a_renamed_group_is_found():
    """A split with group names of its own cannot hide that the declared groups are torn."""
    manifest, split = make_pair(["train", "test", "test", "test"])
    split["group_id"] = ["new", "other", "b", "b"]
    with pytest.raises(SplitLeakageError, match="belong to the group 'a'"):
        check_split(manifest, split)


def test_joined_group_of_the_split_counts():
    """Groups that the split has joined may not be torn either."""
    manifest, split = make_pair(["train", "train", "test", "test"])
    split["group_id"] = "joined"
    assert [leak.name for leak in find_leaks(manifest, split)] == ["joined"]


def test_missing_names_hold_nothing_together():
    """Images without a cluster of copies are not copies of each other."""
    manifest, split = make_pair(["train", "test"], "ab", clusters=[None, None])
    assert find_leaks(manifest, split) == []


def test_images_without_a_split_are_left_out():
    """A split of some of the images can be looked at, but not checked as a whole."""
    manifest, split = make_pair(["train", "test", "test", "test"])
    assert find_leaks(manifest, split.iloc[1:]) == find_leaks(manifest, split.iloc[:0]) == []
    with pytest.raises(SplitError, match=r"does not fit the manifest: 1 images .*'00000.png'"):
        check_split(manifest, split.iloc[1:])


def test_image_in_two_rows_is_refused():
    """Images that stand twice, or are not in the manifest, are counted and named."""
    manifest, split = make_pair(["train", "train", "test", "test"])
    with pytest.raises(SplitError, match=r"does not fit the manifest: 1 images .*'00000.png'"):
        check_split(manifest, pd.concat([split, split.iloc[:1]]))
    with pytest.raises(SplitError, match=r"does not fit the manifest: 1 images .*'00003.png'"):
        check_split(manifest.iloc[:3], split)


def test_long_list_is_cut():
    """Ten pairs are told and all are counted."""
    groups = np.repeat([f"g{number:02d}" for number in range(30)], 2)
    manifest = make_manifest(groups, range(60))
    split = pd.DataFrame({"sample_id": manifest["sample_id"], "split": ["train", "test"] * 30})
    text = summarise_leaks(find_leaks(manifest, split))
    assert text.startswith("30 pairs stand on both sides: '00000.png' (train) and '00001.png' (test)")
    assert text.endswith("; and 20 more")
    assert text.count("belong to the group") == 10
