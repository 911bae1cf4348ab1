"""Groups that share a picture become one, whatever the order of the rows, and nothing else does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories.tables import make_manifest
from phytoscope.data.copies.groups import join_groups, summarise_joins
from phytoscope.schema.table import Task


def test_chain_of_copies_is_one_group():
    """All groups that a chain of copies touches are named after the smallest."""
    manifest = make_manifest(["d", "c", "c", "b", "b", "a", "e"], range(7), pictures=[1, 1, 2, 2, 3, 3, 9])
    assert list(join_groups(manifest)) == ["a"] * 6 + ["e"]


def test_near_copies_join_groups():
    """Different bytes with one duplicate id hold two groups together, and so do equal bytes with different ones."""
    manifest = make_manifest(["a", "b", "c", "d"], range(4), pictures=[0, 1, 2, 2])
    manifest["duplicate_id"] = ["x", "x", "y", "z"]
    assert list(join_groups(manifest)) == ["a", "a", "c", "c"]


def test_missing_groups_are_no_giant_group():
    """Images without a group stand alone; a missing duplicate id is shared with nobody."""
    manifest = make_manifest([None] * 5 + ["a"], range(6))
    manifest["duplicate_id"] = [None, None, None, "x", "x", None]
    joined = join_groups(manifest)
    assert joined.nunique() == 5
    assert joined.notna().all()
    assert joined[3] == joined[4]


def test_equal_bytes_hold_together_without_a_duplicate_id():
    """A missing duplicate id beside equal bytes hides no copy, so that no split can put them on both sides."""
    manifest = make_manifest(["a", "b", "c"], range(3), pictures=[1, 1, 2])
    manifest["duplicate_id"] = ["x", None, "y"]
    assert list(join_groups(manifest)) == ["a", "a", "c"]


def test_declared_name_is_preferred():
    """An undeclared copy takes the plant's name, although its own comes first in the alphabet."""
    manifest = make_manifest(["image/0", "plant 2", "image/1"], range(3), pictures=[5, 5, 6])
    assert list(join_groups(manifest)) == ["plant 2", "plant 2", "image/1"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.integers(0, 8)), min_size=1, max_size=25),
    st.randoms(use_true_random=False),
)
def test_components_are_exact_and_blind_to_the_order(rows, random):
    """Two images are together exactly when a chain of groups and copies leads from one to the other."""
    groups = [group if group is not None else f"alone {number}" for number, (group, _) in enumerate(rows)]
    pictures = [picture for _, picture in rows]
    manifest = make_manifest([group for group, _ in rows], range(len(rows)), pictures=pictures)
    joined = join_groups(manifest)
    linked = np.equal.outer(groups, groups) | np.equal.outer(pictures, pictures)
    for _ in rows:
        linked = linked @ linked
    assert (np.equal.outer(joined.to_numpy(), joined.to_numpy()) == linked).all()
    order = list(range(len(rows)))
    random.shuffle(order)
    assert (join_groups(manifest.iloc[order]) == joined.iloc[order]).all()


def test_summary_names_contradictions():
    """Joined groups with different labels are named; those with one label, and groups that were not joined, are not."""
    labels = ["rust", "scab", "rust", "rust", "rust", "scab"]
    manifest = make_manifest(
        ["a", "b", "c", "d", "e", "e"], labels, task=Task.classification, pictures=[0, 0, 1, 1, 2, 3]
    )
    summary = summarise_joins(manifest, join_groups(manifest))
    assert (summary.declared, summary.joined) == (5, 3)
    assert summary.merged == {"a": ["a", "b"], "c": ["c", "d"]}
    assert summary.conflicting == ["a"]
    assert "different labels: for example 00000.png and 00001.png." in summary.to_text()
    assert "5 declared groups became 3" in summary.to_text()


def test_summary_warns_of_a_giant():
    """A joined group with more than a fifth of the images is told; a large declared one is the user's own."""
    many = [f"g{number:02d}" for number in range(40)]
    manifest = make_manifest(many, range(40), pictures=[0] * 10 + list(range(1, 31)))
    summary = summarise_joins(manifest, join_groups(manifest))
    assert (summary.largest, summary.largest_share, summary.too_large) == ("g00", 0.25, True)
    assert "'g00' holds 25% of all images" in summary.to_text()
    declared = make_manifest(["a"] * 30 + many[:10], range(40))
    assert not summarise_joins(declared, join_groups(declared)).too_large


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_tables(rows):
    """No image and one image are tables like others."""
    manifest = make_manifest(["a"][:rows], [1.0][:rows])
    joined = join_groups(manifest)
    assert list(joined) == ["a"][:rows]
    assert summarise_joins(manifest, joined).to_text() == ""


def test_index_of_the_rows_is_kept():
    """The names stand on the rows they belong to, also in a part of a table."""
    manifest = make_manifest(["a", "b", "c"], range(3), pictures=[0, 1, 1]).iloc[1:]
    pd.testing.assert_series_equal(
        join_groups(manifest), pd.Series(["b", "b"], index=[1, 2], name="group_id", dtype=object)
    )


def test_undeclared_groups_are_not_called_declared():
    """Without any group of the user, the sentence speaks of pictures, and never shows the hash of one."""
    manifest = make_manifest(["image/0", "image/1", "image/2"], [*"aba"], task=Task.classification, pictures=[0, 0, 1])
    text = summarise_joins(manifest, join_groups(manifest)).to_text()
    assert text.startswith("3 pictures form 2 groups, because some are copies of others. 1 of them join pictures with")
    assert "declared" not in text
    assert "image/" not in text
