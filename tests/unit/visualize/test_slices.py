"""Slices: what is worse is marked and told, what cannot be told is not judged."""

import dataclasses

import pytest

from factories.beliefs import make_slices
from phytoscope.schema.report import GroupRow
from phytoscope.schema.table import Task
from phytoscope.visualize.slices import choose_slices, list_groups, list_slices, plot_slices


def test_each_judged_slice_is_a_point_with_its_range():
    """Differences of fractions are drawn in points, worse ones as triangles that point down."""
    ax = plot_slices(make_slices(), unit="").axes[0]
    marks = [(line.get_marker(), line.get_xdata()[0]) for line in ax.lines if line.get_marker() in {"v", "^", "o"}]
    assert marks == [("v", pytest.approx(-11)), ("^", pytest.approx(6)), ("o", pytest.approx(-2)), ("o", 1.0)]
    assert ax.get_xlabel() == "Accuracy: these minus all others (points)"
    assert "scanner (n = 4)" not in [label.get_text() for label in ax.get_yticklabels()]


def test_errors_are_drawn_in_their_unit():
    """A larger error is worse, to the right."""
    ax = plot_slices(make_slices("mae", "g", worse_higher=True), unit="g").axes[0]
    assert ax.get_xlabel() == "Mean absolute error: these minus all others (g)"
    worse = next(line for line in ax.lines if line.get_marker() == "v")
    assert worse.get_xdata()[0] == pytest.approx(0.11)


def test_of_many_slices_the_worse_ones_stay():
    """A figure holds thirty; what is worse is never left out, and the order stays."""
    plain = dataclasses.replace(make_slices()[2], column="x")
    rows = [dataclasses.replace(plain, value=str(number)) for number in range(50)]
    rows[45] = dataclasses.replace(rows[45], differs=True, worse=True)
    chosen = choose_slices(rows)
    assert len(chosen) == 30
    assert chosen[-1].value == "45"


def test_table_holds_all_slices_and_the_sentence_the_worse_ones(diseases):
    """Too small slices are listed and not judged."""
    part = dataclasses.replace(diseases.report.splits["test"], slices=make_slices())
    table = list_slices(part, Task.classification)
    assert [row["says"] for row in table["rows"]] == [
        "worse",
        "better",
        "no difference can be told",
        "no difference can be told",
        "too few to judge",
    ]
    assert table["worse"] == ["camera = phone (90 photographs): accuracy lower by 11.0 points"]
    assert table["rows"][-1]["cells"] == ["\u2013"]
    assert list_slices(dataclasses.replace(part, slices=[]), Task.classification) == {}


def test_worse_errors_are_told_in_their_unit(weights):
    """The sentence says higher, and by how many grams."""
    part = dataclasses.replace(weights.report.splits["test"], slices=make_slices("mae", "g", worse_higher=True))
    (sentence,) = list_slices(part, Task.regression)["worse"]
    assert sentence.endswith("mean absolute error higher by 0.110\u00a0g")


def test_worst_groups_are_cut_and_have_their_unit():
    """Ten leaves or plants are listed; accuracy in percent, errors in the unit."""
    rows = [GroupRow(f"leaf-{number}", 3, "accuracy", 0.5) for number in range(12)]
    table = list_groups(rows, "")
    assert len(table["rows"]) == 10
    assert table["rows"][0]["value"] == "50\u00a0%"
    assert list_groups([GroupRow("p", 3, "mae", 0.5)], "g")["rows"][0]["value"] == "0.500\u00a0g"
    assert list_groups([], "g") == {}
