"""What a package keeps of held-out images."""

import numpy as np
import pandas as pd
import pytest

from phytoscope.errors import ArtifactError
from phytoscope.predict.reference_files import (
    FeatureKeeper,
    choose_reference,
    copy_reference,
    draw_groups,
    keep_reference,
    measure_errors,
    read_reference,
)


def _make_answers(n=12):
    splits = ["val", "calibration", "test"]
    return pd.DataFrame(
        {
            "sample_id": [f"secret-{row}.png" for row in range(n)],
            "path": [f"/photos/secret/{row}.png" for row in range(n)],
            "split": [splits[row % 3] for row in range(n)],
            "group_id": [f"secret plant {row // 6}" for row in range(n)],
            "label": ["a", "b"] * (n // 2),
            "prediction": ["a"] * n,
            "probability": np.linspace(0.5, 1.0, n),
            "prob/a": 0.7,
            "verdict": "accept",
            "reasons": "",
            "novelty": 0.1,
            "photo/brightness": 100.0,
        }
    )


@pytest.fixture
def kept(tmp_path):
    """A reference on disk, its answers, and the features of all rows."""
    answers = _make_answers()
    keeper = FeatureKeeper(choose_reference(answers, seed=0))
    features = np.random.default_rng(0).normal(size=(len(answers), 5)).astype(np.float32)
    for start in (0, 5, 10):
        keeper.add(features[start : start + 5])
    files = keep_reference(tmp_path, answers, [f"{row:064x}" for row in range(len(answers))], keeper)
    assert [path.name for path in files] == ["reference.parquet", "reference.safetensors"]
    return tmp_path, answers, features


def test_rows_and_features_belong_together(kept):
    """Calibration and test are kept in their order, with the features of just these rows."""
    place, answers, features = kept
    found = read_reference(place)
    rows = np.flatnonzero(answers["split"] != "val")
    assert found.table["probability"].tolist() == answers["probability"].iloc[rows].tolist()
    assert np.array_equal(found.features, features[rows].astype(np.float16).astype(np.float32))
    assert found.table["error"].tolist() == [0.0 if answers["label"][row] == "a" else 1.0 for row in rows]


def test_no_names_are_in_it(kept):
    """A package goes to others: neither files nor plants are named in it."""
    place, _, _ = kept
    for path in place.iterdir():
        assert b"secret" not in path.read_bytes()
    table = read_reference(place).table
    assert table["group_id"].nunique() == 2
    assert set(table["group_id"].str.len()) == set(table["sha256"].str.len()) == {16}


def test_large_features_keep_a_number():
    """What 16 bits cannot hold takes their end, not infinity."""
    keeper = FeatureKeeper(np.array([True, True]))
    keeper.add(np.array([[1e9, -1e9], [0.5, 0.25]], dtype=np.float32))
    assert keeper.join().tolist() == [[65504.0, -65504.0], [0.5, 0.25]]


def test_without_held_out_images_an_earlier_reference_is_removed(kept):
    """A reference of an earlier evaluation would look as if it belonged to this one."""
    place, answers, _ = kept
    keeper = FeatureKeeper(choose_reference(answers.assign(split="val"), seed=0))
    assert keep_reference(place, answers, [""] * len(answers), keeper) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_whole_groups_are_drawn(seed):
    """Groups are kept whole, except for the last one; other seeds draw others."""
    groups = np.repeat([f"g{number}" for number in range(20)], 7).astype(object)
    allowed = np.ones(140, dtype=bool)
    drawn = draw_groups(groups, allowed, 30, seed)
    counts = pd.Series(groups[drawn]).value_counts()
    assert drawn.sum() == 30
    assert sorted(counts, reverse=True)[:4] == [7, 7, 7, 7]
    assert len(counts) == 5
    assert not np.array_equal(drawn, draw_groups(groups, allowed, 30, seed + 1))
    assert np.array_equal(drawn, draw_groups(groups, allowed, 30, seed))


def test_one_huge_group_is_drawn_in_part():
    """One plant with very many photographs is no reason to have none."""
    groups = np.array(["only"] * 50, dtype=object)
    assert draw_groups(groups, np.ones(50, dtype=bool), 10, 0).sum() == 10


def test_errors_are_shares_or_amounts():
    """Wrong classes count 1; numbers count their distance; what is not known is missing."""
    classes = pd.DataFrame({"prediction": ["a", "b", "a"], "label": ["a", "a", None]})
    numbers = pd.DataFrame({"prediction": [1.0, 5.0], "target": [3.0, np.nan]})
    assert np.array_equal(measure_errors(classes), [0.0, 1.0, np.nan], equal_nan=True)
    assert np.array_equal(measure_errors(numbers), [2.0, np.nan], equal_nan=True)
    assert np.isnan(measure_errors(classes[["prediction"]])).all()


def test_a_package_receives_a_copy(kept, tmp_path):
    """What the run keeps stands in the package too; a run without it gives nothing."""
    place, _, _ = kept
    package = tmp_path / "package"
    package.mkdir()
    copy_reference(tmp_path / "nothing")(package)
    assert list(package.iterdir()) == []
    copy_reference(place)(package)
    assert read_reference(package).table.equals(read_reference(place).table)


@pytest.mark.parametrize("name", ["reference.parquet", "reference.safetensors"])
def test_damage_is_said(kept, name):
    """A damaged file is an error that says what to do, a missing one too."""
    place, _, _ = kept
    (place / name).write_bytes(b"x")
    with pytest.raises(ArtifactError, match="cannot be used"):
        read_reference(place)
    (place / "reference.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"holds no reference\.parquet"):
        read_reference(place)


def test_rows_and_features_that_do_not_fit_are_refused(kept):
    """Two files of different evaluations are not taken for one."""
    place, _, _ = kept
    read_reference(place).table.iloc[:3].to_parquet(place / "reference.parquet", index=False)
    with pytest.raises(ArtifactError, match="3 rows have features"):
        read_reference(place)


def test_rows_without_their_features_are_refused(kept):
    """Half of a reference is none."""
    place, _, _ = kept
    (place / "reference.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"reference\.safetensors is missing.*copy the package again"):
        read_reference(place)
