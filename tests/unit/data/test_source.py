"""Faults become a table that any program reads, in the order of the user's rows."""

import pytest

from phytoscope.data.source import Fault, faults_to_table, printable
from phytoscope.schema.table import REJECTED_COLUMNS


def test_faults_are_sorted_by_line():
    """Lines first, in their order; what has no line comes last, by name."""
    faults = [Fault("z.png", "b", ""), Fault("a.png", "c", "", source_row=10), Fault("b.png", "d", "", source_row=9)]
    table = faults_to_table([*faults, Fault("a.png", "e", "")])
    assert list(table["reason"]) == ["d", "c", "e", "b"]
    assert tuple(table.columns) == REJECTED_COLUMNS


def test_no_fault_is_a_table_without_rows():
    """The columns are there all the same."""
    table = faults_to_table([])
    assert (tuple(table.columns), len(table)) == (REJECTED_COLUMNS, 0)


@pytest.mark.parametrize(("text", "shown"), [("Blätter", "Blätter"), ("bl\udce4tter", "bl\\udce4tter")])
def test_every_name_can_be_shown(text, shown):
    """Letters stay, bytes that are no letters become escapes."""
    assert printable(text) == shown
