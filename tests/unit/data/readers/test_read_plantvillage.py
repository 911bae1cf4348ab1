"""Photographs of one leaf are found by the leaf map, else by their numbers."""

import json
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories.images import write_image
from phytoscope.data.readers.read_plantvillage import group_by_photo_number, photo_tag, read_plantvillage
from phytoscope.errors import DataNotFoundError, DataValidationError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig

RUST, SCAB = "Corn_(maize)___Common_rust_", "Apple___Apple_scab"


def read(root, **options):
    return read_plantvillage(DataConfig(DataKind.plantvillage, root=str(root), **options))


def groups_of(source):
    return {sample_id.split("/")[1]: group for sample_id, group in source.rows[["sample_id", "group_id"]].to_numpy()}


def group_numbers(numbers, suffix=""):
    rows = pd.DataFrame({"sample_id": [f"c/x___RS {number}{suffix}.JPG" for number in numbers], "label": "c"})
    return list(group_by_photo_number(rows))


@pytest.fixture
def root(tmp_path):
    """Four photographs of scab, two of rust, and a leaf map that knows some of them."""
    for seed, name in enumerate(["u1___FREC_Scab 2991.JPG", "u2___FREC_Scab 2992.JPG", "u3___FREC_Scab 3200.JPG"]):
        write_image(tmp_path / SCAB / name, seed=seed)
    for seed, name in enumerate(["RS_Rust 1590.JPG", "RS_Rust 1591 copy 3.jpg", "u4___FREC_Scab 2991.JPG"], start=10):
        write_image(tmp_path / RUST / name, seed=seed)
    leaf_map = {
        "frec_scab 2991": [f"{RUST}:::9", f"{SCAB}:::7"],
        "frec_scab 3200": [f"{SCAB}:::7"],
        "frec_scab 9999": [f"{SCAB}:::8"],
    }
    (tmp_path / "leaf-map.json").write_text(json.dumps(leaf_map), encoding="utf-8")
    return tmp_path


def test_leaf_map_comes_first(root):
    """The map decides where it has an entry of the photograph's own class; the tag is compared in lower case."""
    groups = groups_of(read(root))
    assert groups["u1___FREC_Scab 2991.JPG"] == groups["u3___FREC_Scab 3200.JPG"] == f"{SCAB}:::7"
    assert groups["u4___FREC_Scab 2991.JPG"] == f"{RUST}:::9"


def test_numbers_come_second(root):
    """Photographs without an entry are grouped by their numbers, a copy with its original."""
    groups = groups_of(read(root))
    assert groups["RS_Rust 1590.JPG"] == groups["RS_Rust 1591 copy 3.jpg"]
    assert groups["u2___FREC_Scab 2992.JPG"] not in (None, f"{SCAB}:::7")


def test_map_with_capitals_is_understood(root):
    """A map made by hand may keep the letters of the file names."""
    (root / "leaf-map.json").write_text(json.dumps({"RS_Rust 1590": [f"{RUST}:::1"]}), encoding="utf-8")
    assert groups_of(read(root))["RS_Rust 1590.JPG"] == f"{RUST}:::1"


def test_no_map_is_no_fault(root):
    """Without a map, all photographs are grouped by number."""
    (root / "leaf-map.json").unlink()
    source = read(root)
    assert source.rows["group_id"].notna().all()
    assert source.faults == []


def test_own_pattern_replaces_both(root):
    """Who names the leaf by a pattern is believed."""
    groups = groups_of(read(root, group_pattern=r"(\d+)[^/]*$"))
    assert groups["RS_Rust 1590.JPG"] == "1590"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "is not JSON"),
        ("\udcff", "is not JSON"),
        ("[]", "is not a leaf map: expected photo tag"),
        ('{"a": "c:::1"}', "is not a leaf map"),
        ('{"a": ["c 1"]}', "is not a leaf map"),
        ('{"a": [1]}', "is not a leaf map"),
        ("null", "is not a leaf map"),
    ],
)
def test_wrong_map_is_refused(root, text, match):
    """A damaged map must not quietly become none."""
    (root / "leaf-map.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataValidationError, match=match):
        read(root)


def test_missing_root_is_named(tmp_path):
    """The readers below are not reached with a wrong root."""
    with pytest.raises(DataNotFoundError, match="there is no folder"):
        read(tmp_path / "no")


@pytest.mark.parametrize(
    ("sample_id", "tag"),
    [
        ("c/uuid___FREC_Scab 2991.JPG", "frec_scab 2991"),
        ("c/RS_Rust 1590.JPG", "rs_rust 1590"),
        ("c/a___b___JR_FrgE.S 2828.jpg.JPG", "jr_frge.s 2828.jpg"),
        ("c/no_extension", "no_extension"),
    ],
)
def test_tag_is_the_part_behind_the_last_bars(sample_id, tag):
    """The tag is what the leaf map calls a photograph."""
    assert photo_tag(sample_id) == tag


@pytest.mark.parametrize("suffix", [" copy", " copy 3", "(2)", " (2)", "_2", " Copy 12"])
def test_copies_stay_with_their_original(suffix):
    """A copied file has the number of its original."""
    assert len(set(group_numbers([100, 101]) + group_numbers([100, 102], suffix))) == 1


def test_no_number_is_no_group():
    """A photograph without a number stands alone, and others are not thrown together with it."""
    rows = pd.DataFrame({"sample_id": ["c/leaf.jpg", "c/other.jpg", "c/x 1.jpg"], "label": "c"})
    assert [pd.isna(group) for group in group_by_photo_number(rows)] == [True, True, False]


def test_photographer_and_class_separate():
    """The same number of another photographer or class is another leaf."""
    rows = pd.DataFrame({"sample_id": ["c/A 1.jpg", "c/B 1.jpg", "d/A 1.jpg"], "label": ["c", "c", "d"]})
    assert group_by_photo_number(rows).nunique() == 3


def test_hole_in_the_numbers_separates():
    """Eleven numbers further is another leaf, ten may be the same."""
    assert len(set(group_numbers([1, 5, 15]))) == 1
    assert len(set(group_numbers([1, 5, 16]))) == 2


def test_name_of_a_group_does_not_depend_on_the_others():
    """New photographs far away leave the groups as they were."""
    assert group_numbers([100, 103])[0] == group_numbers([100, 103, 500, 501])[0]


def test_huge_numbers_do_no_harm():
    """A time stamp with twenty digits is a number, too."""
    numbers = [10**25 + step for step in range(0, 120, 3)]
    assert 2 <= len(set(group_numbers(numbers))) <= 8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.integers(1, 7))
def test_leaf_in_a_short_run_is_never_torn(start, leaves):
    """Runs shorter than fifty numbers are one group, so a leaf of seven photographs stays whole."""
    assert len(set(group_numbers(range(start, start + 7 * leaves)))) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(50, 400))
def test_long_run_is_cut_into_few_blocks(length):
    """A long run becomes blocks of at most fifty numbers, each of a dozen photographs and more."""
    groups = group_numbers(range(length))
    sizes = pd.Series(groups).value_counts()
    assert sizes.max() <= 50
    assert sizes.min() >= 12
    assert pd.Series(groups).ne(pd.Series(groups).shift()).sum() == len(sizes)


@pytest.mark.real
def test_real_set_follows_its_leaf_map(real_data_root):
    """All 25 classes are read, and photographs share a group as the published map says."""
    root = real_data_root / "plantvillage"
    source = read(root)
    assert source.rows["label"].nunique() == 25
    assert source.rows["group_id"].notna().all()
    published = json.loads((root / "leaf-map.json").read_text(encoding="utf-8"))
    mapped = 0
    for sample_id, label, group in source.rows[["sample_id", "label", "group_id"]].to_numpy():
        entries = [entry for entry in published.get(photo_tag(sample_id), []) if entry.startswith(f"{label}:::")]
        assert not entries or group in entries
        mapped += bool(entries)
    assert mapped > 1000
    assert not any(re.search(r"\.json$", fault.path) for fault in source.faults)
