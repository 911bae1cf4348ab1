"""The split keeps groups and identical pictures together, hits its shares, and is the same everywhere."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories.tables import make_manifest
from phytoscope.data.split import check_split, hash_manifest, hash_split, join_groups, split_by_group
from phytoscope.errors import SplitError, SplitLeakageError
from phytoscope.schema.config import SplitConfig
from phytoscope.schema.table import SPLIT_COLUMNS, Task

DEFAULT = SplitConfig()
SHARES = {"train": 0.6, "val": 0.1, "calibration": 0.1, "test": 0.2}


@st.composite
def manifests(draw):
    """Draw a manifest of 4 to 25 groups of 1 to 6 images, some of them with a picture of another group."""
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
    return make_manifest(groups, answers, task=task, pictures=pictures), task


def make_classes(n_groups=40, size=5, classes=4):
    groups = [f"g{number:03d}" for number in range(n_groups) for _ in range(size)]
    labels = [f"class {number % classes}" for number in range(n_groups) for _ in range(size)]
    return make_manifest(groups, labels, task=Task.classification)


@settings(max_examples=40, deadline=None)
@given(manifests(), st.integers(0, 5))
def test_nothing_stands_on_both_sides(drawn, seed):
    """No declared group, no joined group and no picture is in two splits or two folds, and no split is empty."""
    manifest, task = drawn
    if join_groups(manifest).nunique() < 4:
        return
    split = split_by_group(manifest, task, DEFAULT, seed)
    assert tuple(split.columns) == SPLIT_COLUMNS
    assert list(split["sample_id"]) == list(manifest["sample_id"])
    assert set(split["split"]) == set(SHARES)
    for key in (manifest["group_id"], manifest["sha256"], split["group_id"]):
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


@settings(max_examples=10, deadline=None)
@given(st.integers(40, 90), st.integers(1, 4), st.integers(0, 9), st.sampled_from(list(Task)))
def test_shares_are_hit(n_groups, size, seed, task):
    """With small groups, each split has its share of the images up to a rounding of each stratum."""
    groups = [f"g{number:03d}" for number in range(n_groups) for _ in range(size)]
    rng = np.random.default_rng(seed)
    answers = rng.choice(["a", "b"], n_groups) if task is Task.classification else rng.lognormal(size=n_groups)
    manifest = make_manifest(groups, np.repeat(answers, size), task=task)
    counts = split_by_group(manifest, task, DEFAULT, seed)["split"].value_counts()
    for name, share in SHARES.items():
        assert abs(counts[name] - share * len(manifest)) <= size * (2 if task is Task.classification else 3)


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


GOLDEN = {Task.classification: "003d3ef8d468be32", Task.regression: "bebf101ce8cf415b"}


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


def test_groups_that_share_a_picture_are_one():
    """A chain of copies joins all groups it touches; the smallest name stays."""
    manifest = make_manifest(["d", "c", "c", "b", "b", "a", "e"], range(7), pictures=[1, 1, 2, 2, 3, 3, 9])
    assert list(join_groups(manifest)) == ["a"] * 6 + ["e"]


def test_one_giant_group_does_not_starve_the_others():
    """Every split has its groups even when one group holds most of the images."""
    manifest = make_manifest(["giant"] * 90 + [f"g{number}" for number in range(10)], range(100))
    split = split_by_group(manifest, Task.regression, DEFAULT, 0)
    assert split.loc[split["group_id"] == "giant", "split"].unique().tolist() == ["train"]
    assert split["split"].nunique() == 4


def test_many_groups_are_dealt_quickly():
    """Ten thousand images that stand alone take a moment."""
    names = [f"image/{number:05d}" for number in range(10_000)]
    manifest = make_manifest(names, ["a", "b"] * 5_000, task=Task.classification)
    assert split_by_group(manifest, Task.classification, DEFAULT, 0)["split"].value_counts()["test"] == 2000


@pytest.mark.parametrize(
    ("row", "column", "match"),
    [(0, "group_id", "group 'g000' in"), (0, "sha256", "picture '0{63}a' in")],
)
def test_planted_leak_is_found(row, column, match):
    """A group or a picture that was moved by hand is named with both splits."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, DEFAULT, 0)
    if column == "sha256":
        other = split.index[split["split"] != split["split"][10]][0]
        manifest.loc[other, "sha256"] = manifest["sha256"][10]
    else:
        split.loc[row, "split"] = next(name for name in SHARES if name != split["split"][row])
    with pytest.raises(SplitLeakageError, match=f"the split leaks: .*{match}.*Draw it again by group"):
        check_split(manifest, split)


def test_leak_of_a_renamed_group_is_found():
    """A split with group names of its own cannot hide that the declared groups are torn."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, DEFAULT, 0)
    split.loc[0, ["split", "group_id"]] = [next(name for name in SHARES if name != split["split"][0]), "new"]
    with pytest.raises(SplitLeakageError, match="group 'g000' in"):
        check_split(manifest, split)


def test_split_of_another_manifest_is_refused():
    """Images that stand in no split, or in two rows, are counted and named."""
    manifest = make_classes()
    split = split_by_group(manifest, Task.classification, DEFAULT, 0)
    with pytest.raises(SplitError, match=r"does not fit the manifest: 1 images .*'00000.png'"):
        check_split(manifest, split.iloc[1:])
    with pytest.raises(SplitError, match=r"does not fit the manifest: 1 images .*'00000.png'"):
        check_split(manifest, pd.concat([split, split.iloc[:1]]))


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
