"""The ledger of splits: what was once in test stays there while the data grow."""

import numpy as np
import pandas as pd
import pytest

from factories.runs import draw_mixed_table, run_tiny, run_words
from factories.tables import make_manifest
from phytoscope.data.split import split_by_group
from phytoscope.data.split.ledger import held_ledger, read_ledger, write_ledger
from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.data_config import SplitConfig
from phytoscope.schema.table import Task

SHARES = {"train": 0.6, "val": 0.1, "calibration": 0.1, "test": 0.2}


def grow(plants, *, first=0, photos=3):
    """A manifest of plants with drawn weights; the same plant has the same photographs in every one."""
    groups = [f"p{number:03d}" for number in range(first, first + plants) for _ in range(photos)]
    weights = [float(1 + int(name[1:]) % 17) for name in groups]
    manifest = make_manifest(groups, weights, task=Task.regression)
    shas = [f"{name}-{place % photos}" for place, name in enumerate(groups)]
    return manifest.assign(sample_id=shas, sha256=shas, duplicate_id=shas)


def split_of_plants(manifest, ledger=None, seed=0):
    split = split_by_group(manifest, Task.regression, SplitConfig(), seed, ledger)
    return manifest[["sample_id", "group_id"]].merge(split[["sample_id", "split", "fold"]], on="sample_id")


def remember(tmp_path, manifest, seed=0):
    path = tmp_path / "splits.parquet"
    known = read_ledger(path)
    write_ledger(path, manifest, split_by_group(manifest, Task.regression, SplitConfig(), seed, known))
    return path


@pytest.mark.parametrize("new", [1, 2, 5, 60])
def test_plants_stay_where_they_stood(tmp_path, new):
    """Old plants keep their split whatever is added, and the shares come as close as they can."""
    old = grow(60)
    before = split_of_plants(old)
    path = remember(tmp_path, old)
    after = split_of_plants(grow(60 + new), read_ledger(path), seed=7)
    both = before.merge(after, on="sample_id", suffixes=("_before", "_after"))
    assert (both["split_before"] == both["split_after"]).all()
    shares = after["split"].value_counts(normalize=True)
    assert all(abs(shares[name] - share) < 0.05 for name, share in SHARES.items())


def test_without_the_ledger_most_test_plants_have_taught_a_model(tmp_path):
    """Why it is there: a split that is drawn anew tests on what an earlier model has learned from."""
    before = split_of_plants(grow(60)).set_index("sample_id")["split"]
    after = split_of_plants(grow(66)).set_index("sample_id")["split"]
    tested = after[after == "test"].index.intersection(before.index)
    assert (before[tested] == "train").mean() > 0.3


def test_many_small_additions_keep_the_shares(tmp_path):
    """A plant a day does not end up in training every day."""
    path = remember(tmp_path, grow(20))
    for plants in range(21, 81):
        remember(tmp_path, grow(plants))
    table = read_ledger(path).drop_duplicates("group_id")
    shares = table["split"].value_counts(normalize=True)
    assert len(table) == 80
    assert all(abs(shares[name] - share) < 0.04 for name, share in SHARES.items())


def test_new_photographs_of_an_old_plant_join_it(tmp_path):
    """A plant is known by its name, also when none of its earlier photographs is there any more."""
    path = remember(tmp_path, grow(60))
    before = split_of_plants(grow(60)).drop_duplicates("group_id").set_index("group_id")["split"]
    later = grow(60).assign(sha256=lambda table: table["sha256"] + "-later", duplicate_id=lambda table: table["sha256"])
    after = split_of_plants(later, read_ledger(path), seed=3).drop_duplicates("group_id").set_index("group_id")["split"]
    assert (before == after[before.index]).all()


def test_plants_that_turn_out_to_be_one_go_where_a_model_learned(tmp_path):
    """A test plant that shares a picture with a training plant can no longer test."""
    old = grow(60)
    before = split_of_plants(old).drop_duplicates("group_id").set_index("group_id")["split"]
    path = remember(tmp_path, old)
    tested, taught = before.index[before == "test"][0], before.index[before == "train"][0]
    joined = old.copy()
    joined.loc[joined["group_id"] == tested, "duplicate_id"] = f"{taught}-0"
    after = split_of_plants(joined, read_ledger(path)).drop_duplicates("group_id").set_index("group_id")["split"]
    assert after[tested] == after[taught] == "train"
    assert (after.drop([tested]) == before.drop([tested])).all()


def test_folds_leave_test_out(tmp_path):
    """Folds are drawn over all that is not test, as without a ledger."""
    path = remember(tmp_path, grow(60))
    after = split_of_plants(grow(80), read_ledger(path))
    assert (after.loc[after["split"] == "test", "fold"] == -1).all()
    assert sorted(after.loc[after["split"] != "test", "fold"].unique()) == list(range(5))


@pytest.mark.parametrize("content", [b"nonsense", None], ids=["no table", "another table"])
def test_something_else_is_refused(tmp_path, content):
    """A file that is no ledger is neither read as one nor written over."""
    path = tmp_path / "splits.parquet"
    if content is None:
        pd.DataFrame({"a": [1]}).to_parquet(path)
    else:
        path.write_bytes(content)
    kept = path.read_bytes()
    with pytest.raises(ArtifactError, match=r"data\.split\.ledger"):
        remember(tmp_path, grow(60))
    assert path.read_bytes() == kept


def test_place_that_cannot_be_written(tmp_path):
    """A file where a folder is wanted is told."""
    (tmp_path / "file").write_text("x")
    manifest = grow(60)
    split = split_by_group(manifest, Task.regression, SplitConfig(), 0)
    with pytest.raises(StorageError, match="cannot write"), held_ledger(tmp_path / "file" / "splits.parquet"):
        pass
    with pytest.raises(StorageError, match="cannot write"):
        write_ledger(tmp_path / "file" / "splits.parquet", manifest, split)


def test_a_second_run_on_more_data_keeps_the_test_plants(tmp_path):
    """From the settings to the files: two runs with one ledger, the second on more plants."""
    rng = np.random.default_rng(0)
    words = draw_mixed_table(tmp_path / "data", n=48)
    table = next(word.partition("=")[2] for word in words if word.startswith("data.table="))
    whole = pd.read_csv(table)
    plants = whole["plant"].unique()
    ledger = f"data.split.ledger={tmp_path / 'splits.parquet'}"
    whole[whole["plant"].isin(rng.permutation(plants)[: len(plants) - 4])].to_csv(table, index=False)
    first, _ = run_tiny(run_words(words, tmp_path / "a", ledger), step="prepare")
    whole.to_csv(table, index=False)
    second, _ = run_tiny(run_words(words, tmp_path / "b", ledger, "seed=5"), step="prepare")
    before, after = (pd.read_parquet(run.split).set_index("sample_id")["split"] for run in (first, second))
    assert len(after) > len(before)
    assert (after[before.index] == before).all()
