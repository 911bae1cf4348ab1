"""The split keeps groups and copies together, hits its shares, and is the same everywhere."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories.tables import make_manifest
from phytoscope.data.copies.groups import join_groups
from phytoscope.data.split.content_hash import hash_manifest, hash_split
from phytoscope.data.split.drawing import (
    find_thin_strata,
    split_by_group,
    summarise_split,
)
from phytoscope.errors import SplitError
from phytoscope.schema.data_config import SplitConfig
from phytoscope.schema.table import SPLIT_COLUMNS, Task

DEFAULT = SplitConfig()
SHARES = {"train": 0.6, "val": 0.1, "calibration": 0.1, "test": 0.2}


@st.composite
def manifests(draw):
    """Draw a manifest of 4 to 25 groups of 1 to 6 images, some of them with a (near) copy in another group."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=4, max_size=25))
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    task = draw(st.sampled_from(list(Task)))
    pictures = list(range(len(groups)))
    for _ in range(draw(st.integers(0, 3))):
        pictures[draw(st.integers(0, len(groups) - 1))] = draw(st.integers(0, len(groups) - 1))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    answers = (
        rng.choice(["a", "b", "c"], len(groups)) if task is Task.classification else rng.lognormal(size=len(groups))
    )
    manifest = make_manifest(groups, answers, task=task, pictures=pictures)
    manifest["duplicate_id"] = manifest["sha256"]
    for _ in range(draw(st.integers(0, 3))):
        one, other = (draw(st.integers(0, len(groups) - 1)) for _ in range(2))
        manifest.loc[manifest["sha256"] == manifest["sha256"][one], "duplicate_id"] = manifest["duplicate_id"][other]
    return manifest, task


def make_classes(n_groups=40, size=5, classes=4):
    groups = [f"g{number:03d}" for number in range(n_groups) for _ in range(size)]
    labels = [f"class {number % classes}" for number in range(n_groups) for _ in range(size)]
    return make_manifest(groups, labels, task=Task.classification)


@settings(max_examples=40, deadline=None)
@given(manifests(), st.integers(0, 5))
def test_nothing_stands_on_both_sides(drawn, seed):
    """No declared group, no joined group and no copy is in two splits or two folds, and no split is empty."""
    manifest, task = drawn
    if join_groups(manifest).nunique() < 4:
        return
    split = split_by_group(manifest, task, DEFAULT, seed)
    assert tuple(split.columns) == SPLIT_COLUMNS
    assert list(split["sample_id"]) == list(manifest["sample_id"])
    assert set(split["split"]) == set(SHARES)
    for key in (manifest["group_id"], manifest["sha256"], manifest["duplicate_id"], split["group_id"]):
        counts = split.groupby(key.to_numpy())[["split", "fold"]].nunique()
        assert (counts.to_numpy() == 1).all()


@settings(max_examples=20, deadline=None)
@given(manifests(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_order_of_the_rows_does_not_matter(drawn, seed, random):
    """A table sorted otherwise is split alike."""
    manifest, task = drawn
    if join_groups(manifest).nunique() < 4:
        return
    order = list(range(len(manifest)))
    random.shuffle(order)
    turned = manifest.iloc[order].reset_index(drop=True)
    assert hash_split(split_by_group(manifest, task, DEFAULT, seed)) == hash_split(
        split_by_group(turned, task, DEFAULT, seed)
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(12, 90), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99), st.sampled_from(list(Task)))
def test_shares_are_hit(n_groups, largest, classes, seed, task):
    """The images of each split, and of each class in it, are off by no more than the two largest groups."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, n_groups)
    answers = rng.choice([*"abcd"[:classes]], n_groups) if task is Task.classification else rng.lognormal(size=n_groups)
    groups = np.repeat([f"g{number:03d}" for number in range(n_groups)], sizes)
    manifest = make_manifest(groups, np.repeat(answers, sizes), task=task)
    split = split_by_group(manifest, task, DEFAULT, seed)
    counts = split["split"].value_counts()
    for name, share in SHARES.items():
        assert abs(counts[name] - share * len(manifest)) <= 2 * largest
    if task is Task.classification:
        for _, part in split.groupby(manifest["label"]):
            for name, share in SHARES.items():
                assert abs((part["split"] == name).sum() - share * len(part)) <= 2 * largest


@settings(max_examples=15, deadline=None)
@given(st.integers(10, 40), st.integers(1, 5), st.integers(1, 30), st.integers(0, 99))
def test_class_with_enough_groups_is_everywhere(n_groups, classes, giant, seed):
    """Ten groups of a class are enough to have it in every split, one of them as large as can be."""
    rng = np.random.default_rng(seed)
    sizes = np.where(np.arange(n_groups * classes) % 7 == 0, giant, rng.integers(1, 4, n_groups * classes))
    groups = np.repeat([f"g{number:03d}" for number in range(len(sizes))], sizes)
    labels = np.repeat([f"class {number % classes}" for number in range(len(sizes))], sizes)
    manifest = make_manifest(groups, labels, task=Task.classification)
    split = split_by_group(manifest, Task.classification, DEFAULT, seed)
    assert (pd.crosstab(manifest["label"], split["split"]) > 0).to_numpy().all()
    assert find_thin_strata(manifest, split, Task.classification) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_class_is_in_every_split(seed):
    """Ten groups of a class are enough to have it everywhere, in nearly equal shares."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, DEFAULT, seed)
    counts = pd.crosstab(manifest["label"], split["split"])
    assert (counts["train"] == 30).all()
    assert (counts[["val", "calibration", "test"]] >= 5).all().all()


def test_all_sizes_of_the_target_are_in_every_split():
    """Small and large plants are in the test split as in the training split."""
    rng = np.random.default_rng(0)
    manifest = make_manifest([f"g{number:03d}" for number in range(200)], rng.lognormal(size=200))
    means = manifest.groupby(split_by_group(manifest, Task.regression, DEFAULT, 0)["split"])["target"].median()
    assert means.max() / means.min() < 1.3


def test_seed_zero_is_a_seed():
    """0 gives the same split every time, and another one than 1."""
    manifest = make_classes()
    hashes = [hash_split(split_by_group(manifest, Task.classification, DEFAULT, seed)) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


GOLDEN = {Task.classification: "d3648471a2b677a0", Task.regression: "6a01412c1ab9b9ed"}


@pytest.mark.parametrize("task", list(Task))
def test_split_is_the_same_on_every_machine(task):
    """The hash of a fixed table's split was written down once; a changed one breaks every saved split."""
    groups = [f"plant {number % 37:02d}" for number in range(150)]
    answers = [f"class {number % 37 % 3}" if task is Task.classification else number**1.5 for number in range(150)]
    split = split_by_group(make_manifest(groups, answers, task=task), task, DEFAULT, 0)
    assert hash_split(split)[:16] == GOLDEN[task]


@pytest.mark.parametrize("name", ["calibration", "test"])
def test_share_of_zero_is_no_split(name):
    """0.0 means none, not the default."""
    config = SplitConfig(**{name: 0.0})
    assert name not in set(split_by_group(make_classes(), Task.classification, config, 0)["split"])


def test_too_few_groups_are_refused():
    """The message counts groups, not images, and says what to do."""
    manifest = make_manifest(["a", "a", "b", "b", "c"], [1.0, 2.0, 3.0, 4.0, 5.0])
    match = "3 groups, but the splits train, val, calibration, test need at least 4.*data.split.calibration=0"
    with pytest.raises(SplitError, match=match):
        split_by_group(manifest, Task.regression, DEFAULT, 0)
    split = split_by_group(manifest, Task.regression, SplitConfig(calibration=0), 0)
    assert split["split"].nunique() == 3


def test_one_giant_group_does_not_starve_the_others():
    """Every split has its groups even when one group holds most of the images."""
    manifest = make_manifest(["giant"] * 90 + [f"g{number}" for number in range(10)], range(100))
    split = split_by_group(manifest, Task.regression, DEFAULT, 0)
    assert split.loc[split["group_id"] == "giant", "split"].unique().tolist() == ["train"]
    assert split["split"].nunique() == 4


def test_many_groups_are_dealt_quickly():
    """Fifty thousand images that stand alone take a moment, and come out to the image."""
    names = [f"image/{number:05d}" for number in range(50_000)]
    manifest = make_manifest(names, ["a", "b"] * 25_000, task=Task.classification)
    counts = split_by_group(manifest, Task.classification, DEFAULT, 0)["split"].value_counts()
    assert counts.to_dict() == {"train": 30_000, "val": 5_000, "calibration": 5_000, "test": 10_000}


def test_large_and_small_groups_are_everywhere():
    """No split consists of lonely images while another has all the large plants."""
    sizes = np.repeat([1, 8], 100)
    groups = np.repeat([f"g{number:03d}" for number in range(200)], sizes)
    manifest = make_manifest(groups, np.repeat(np.arange(200) % 7, sizes))
    split = split_by_group(manifest, Task.regression, DEFAULT, 0)
    means = split.groupby("split").size() / split.groupby("split")["group_id"].nunique()
    assert means.max() / means.min() < 1.6


@pytest.mark.parametrize("folds", [2, 3, 10])
def test_number_of_folds_is_honoured(folds):
    """Cross-validation has as many folds as were asked for, all but equal, and none of the test images."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, SplitConfig(folds=folds), 0)
    counts = split.loc[split["split"] != "test", "fold"].value_counts()
    assert sorted(counts.index) == list(range(folds))
    assert counts.max() - counts.min() <= 5
    assert (split.loc[split["split"] == "test", "fold"] == -1).all()


def test_fewer_groups_than_folds():
    """Three groups make three folds."""
    manifest = make_manifest([*"aabbccdd"], range(8))
    split = split_by_group(manifest, Task.regression, DEFAULT, 0)
    assert sorted(set(split["fold"])) == [-1, 0, 1, 2]


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_any_whole_number_is_a_seed(seed):
    """Seeds below 0 and beyond 64 bits work."""
    manifest = make_classes()
    assert hash_split(split_by_group(manifest, Task.classification, DEFAULT, seed)) != hash_split(
        split_by_group(manifest, Task.classification, DEFAULT, 0)
    )


def test_groups_of_different_size_are_shuffled_too():
    """Seeds matter even when no two groups are alike."""
    manifest = make_manifest(np.repeat([f"g{number:02d}" for number in range(30)], range(10, 40)), range(735))
    assert len({hash_split(split_by_group(manifest, Task.regression, DEFAULT, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", range(5))
def test_rare_class_is_learned_first(seed):
    """The only group of a class goes to train, also when a giant group of another class has just filled it."""
    manifest = make_manifest(["giant"] * 200 + [*"abcdefgh"], ["x"] * 207 + ["rare"], task=Task.classification)
    split = split_by_group(manifest, Task.classification, DEFAULT, seed)
    assert set(split["split"]) == set(SHARES)
    assert split["split"].iloc[-1] == "train"
    (thin,) = find_thin_strata(manifest, split, Task.classification)
    assert (thin.stratum, thin.images, thin.groups) == ("rare", 1, 1)
    assert thin.missing == ("val", "calibration", "test")
    assert thin.text.startswith("class 'rare' has 1 group (1 images) and is missing from val, calibration, test")


def test_class_that_is_not_learned_is_said_so():
    """A class that stands only in test is reported as one that cannot be learned."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, DEFAULT, 0)
    split.loc[manifest["label"] == "class 2", "split"] = "test"
    (thin,) = find_thin_strata(manifest, split, Task.classification)
    assert thin.missing == ("train", "val", "calibration")
    assert "so it cannot be learned" in thin.text


def test_summary_counts_images_and_groups():
    """One row for each class and split, with zeros, and nothing is lost."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, SplitConfig(calibration=0.0), 0)
    summary = summarise_split(manifest.iloc[::-1], split, Task.classification)
    assert list(summary.columns) == ["stratum", "split", "images", "groups"]
    assert list(summary["split"][:3]) == ["train", "val", "test"]
    assert len(summary) == 12
    assert summary["images"].sum() == 200
    assert (summary["images"] == 5 * summary["groups"]).all()


def test_quarters_of_the_target_are_summarised():
    """A number is summed up by quarters, named by their range, and a missing one is reported."""
    manifest = make_manifest([f"g{number:02d}" for number in range(40)], np.arange(40.0))
    split = split_by_group(manifest, Task.regression, DEFAULT, 0)
    summary = summarise_split(manifest, split, Task.regression)
    assert list(dict.fromkeys(summary["stratum"])) == ["0 to 9", "10 to 19", "20 to 29", "30 to 39"]
    split.loc[30:, "split"] = "train"
    thin = find_thin_strata(manifest, split, Task.regression)[-1]
    assert thin.missing == ("val", "calibration", "test")
    assert thin.text.startswith("the range 30 to 39 of the target has 10 groups")
    assert "so nothing is known" in thin.text


def test_hash_of_a_split_knows_what_stands_where():
    """The order of the rows does not matter, one moved image does."""
    split = split_by_group(make_classes(), Task.classification, DEFAULT, 0)
    moved = split.copy()
    moved.loc[0, "fold"] = (moved["fold"][0] + 1) % 5
    assert hash_split(split) == hash_split(split.iloc[::-1]) != hash_split(moved)


@pytest.mark.parametrize("column", ["sample_id", "sha256", "label", "group_id"])
def test_hash_of_a_manifest_is_the_version_of_the_data(column):
    """Any change of a name, a picture, an answer or a group is another version; the order and the place are not."""
    manifest = make_classes()
    moved = manifest.iloc[::-1].assign(path="elsewhere")
    changed = manifest.copy()
    changed.loc[3, column] = "changed"
    assert hash_manifest(manifest) == hash_manifest(moved) != hash_manifest(changed)
