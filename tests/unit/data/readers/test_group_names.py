"""Names of groups: what is missing and what may be the same plant twice is said."""

import pandas as pd
import pytest

from phytoscope.data.readers.group_names import find_nameless, find_number_spellings, name_groups


def make_table(*plants, **others):
    return pd.DataFrame({"plant": pd.Series(plants, dtype=object), **others}).set_axis(range(2, 2 + len(plants)))


def images_of(table):
    return pd.Series([f"{line}.png" for line in table.index], index=table.index)


def test_images_without_a_group_are_counted():
    """One fault names the number of images, the empty columns and the first line."""
    table = make_table("p1", None, "p2", None, tray=["a", "b", "c", "d"])
    (fault,) = find_nameless(table, ["plant", "tray"], images_of(table))
    assert "2 of 4 images have no group id (column 'plant' is empty); each is treated as a plant" in fault.reason
    assert (fault.source_row, fault.path, fault.column) == (3, "3.png", "plant")
    assert list(name_groups(table, ["plant", "tray"]).fillna("")) == ["p1/a", "", "p2/c", ""]


def test_nothing_is_said_of_complete_names():
    """No empty cell, no fault."""
    table = make_table("p1", "p2")
    assert find_nameless(table, ["plant"], images_of(table)) == []


@pytest.mark.parametrize(("one", "other"), [("001", "1"), ("1.0", "1"), ("P01", "p 1"), ("a_003", "a_3"), ("0", "00")])
def test_numbers_written_in_two_ways_are_doubted(one, other):
    """The rarer spelling is named with both counts."""
    table = make_table(other, other, one, "x")
    (fault,) = find_number_spellings(table["plant"], images_of(table), "group")
    assert (fault.value, fault.source_row) == (one, 4)
    assert f"{one!r} (1 images) and {other!r} (2 images)" in fault.reason


@pytest.mark.parametrize(("one", "other"), [("10", "1"), ("100", "1"), ("1.05", "1.5"), ("P 1", "p_1")])
def test_other_numbers_are_other_names(one, other):
    """A zero at the end or behind the point counts, and case and spaces are told of elsewhere."""
    table = make_table(one, other)
    assert find_number_spellings(table["plant"], images_of(table), "group") == []
