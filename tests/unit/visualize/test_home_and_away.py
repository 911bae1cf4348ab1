"""Home and elsewhere stand in one line for each class."""

import dataclasses

from phytoscope.visualize.home_and_away import plot_home_and_away


def test_each_class_of_a_set_has_two_points(full_diseases):
    """Circle at home, triangle elsewhere, where the report says; classes that a set lacks are left out."""
    part, orchard = full_diseases.report.splits["test"], full_diseases.report.external[0]
    ax = plot_home_and_away(part, full_diseases.report.external).axes[0]
    recalls = {row.name: row.recall for row in part.classes}
    for marker, expected in (
        ("o", [recalls[row.name] for row in orchard.classes]),
        ("^", [row.recall for row in orchard.classes]),
    ):
        assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == marker] == expected
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Apple: apple scab", "Tomato: healthy"]


def test_ranges_and_undefined_shares(full_diseases):
    """A range is drawn where it is known, and a share that is not defined has no point."""
    part, orchard = full_diseases.report.splits["test"], full_diseases.report.external[0]
    first = dataclasses.replace(orchard.classes[0], recall=None)
    ax = plot_home_and_away(part, [dataclasses.replace(orchard, classes=[first, orchard.classes[1]])]).axes[0]
    assert sum(line.get_marker() == "^" for line in ax.lines) == 1
    ranges = [line for line in ax.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    assert sum(list(line.get_xdata()) != [0, 1] for line in ranges) == 2
