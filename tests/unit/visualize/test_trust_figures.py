"""Figures about belief show the numbers they are given, marked by more than colour."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from factories.beliefs import make_calibration, make_intervals, make_sets, make_verdicts
from phytoscope.schema.trust_report import CoverageRow
from phytoscope.visualize.coverage import choose_rows, plot_coverage, plot_intervals, plot_set_sizes
from phytoscope.visualize.reliability import plot_reliability
from phytoscope.visualize.risk import plot_risk_coverage, plot_verdicts
from phytoscope.visualize.style import GREEN, VERMILION, save_figures


def test_reliability_has_one_point_a_bin_before_and_after():
    """Points stand where confidence and accuracy say, and each panel tells its error."""
    calibration = make_calibration()
    fig = plot_reliability(calibration)
    panels = fig.axes[:2]
    assert [ax.get_title(loc="left") for ax in panels] == ["As the network says", "After calibration"]
    for ax, bins in zip(panels, (calibration.bins_before, calibration.bins_after), strict=True):
        points = ax.collections[-1].get_offsets()
        assert np.allclose(points, [(row.confidence, row.accuracy) for row in bins])
    assert "off by 8.2 points" in [text.get_text() for text in panels[0].texts]


def test_reliability_without_calibration_has_one_panel():
    """The network's own probabilities alone are drawn alone, not twice."""
    for changes in ({"bins_after": []}, {"kind": "none"}):
        panels = plot_reliability(dataclasses.replace(make_calibration(), **changes)).axes
        assert [ax.get_title(loc="left") for ax in panels] == ["As the network says", ""]


def test_broken_promises_have_their_own_mark():
    """Triangles for classes whose whole range lies below the promise, dots for the others."""
    sets = make_sets()
    ax = plot_coverage(sets).axes[0]
    marks = {line.get_ydata()[0]: line.get_marker() for line in ax.lines if line.get_marker() in {"o", "v"}}
    expected = ["v" if row.high is not None and row.high < 0.9 else "o" for row in choose_rows(sets.rows)]
    assert [marks[y] for y in range(len(expected) - 1, -1, -1)] == expected
    assert expected.count("v") >= 2
    assert {to_hex(line.get_color()) for line in ax.lines if line.get_marker() == "v"} == {VERMILION.lower()}


@pytest.mark.parametrize(("promised", "lines"), [(0.9, 1), (0.8, 2)])
def test_wanted_share_is_drawn_where_it_was_not_promised(promised, lines):
    """A promise below the wish shows both."""
    fig = plot_coverage(make_sets(promised=promised))
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert sum("wanted" in word or "promised (" in word for word in words) == lines


def test_coverage_names_its_rows_and_leaves_groups_to_the_table():
    """All photographs first, slices with their unit, no single leaves."""
    labels = [label.get_text() for label in plot_coverage(make_intervals()).axes[0].get_yticklabels()]
    assert labels[0] == "All photographs (n = 400)"
    assert labels[1] == "0.02 to 0.032 g (n = 40)"
    assert len(labels) == 11


def test_of_many_classes_the_worst_are_drawn():
    """Forty rows fit; they are those held least often."""
    rows = [CoverageRow("class", f"c{i}", 5, 5, i / 100, None, None, 1.0) for i in range(100)]
    assert [row.name for row in choose_rows(rows)] == [f"c{i}" for i in range(40)]


def test_large_sets_share_a_bar():
    """Sets of more than ten classes are counted together, and shares sum to 1."""
    ax = plot_set_sizes({1: 50, 2: 30, 14: 15, 20: 5}).axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == [*map(str, range(1, 11)), "more"]
    heights = [bar.get_height() for bar in ax.patches]
    assert heights[-1] == pytest.approx(0.2)
    assert sum(heights) == pytest.approx(1.0)


def make_rows(n=12, low=0.5, high=2.0):
    target = np.linspace(1.0, 5.0, n)
    rows = pd.DataFrame({"target": target, "prediction": target})
    return rows.assign(lower=target * low, upper=target * high)


def test_missed_truths_are_crosses():
    """An interval that does not hold the truth has a colour and a shape of its own."""
    rows = make_rows()
    rows.loc[3, ["lower", "upper"]] = [10.0, 11.0]
    ax = plot_intervals(rows, target_name="weight", unit="g").axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["holds the truth (11)", "misses it (1)"]
    assert ax.get_xlabel() == "True weight (g)"


def test_rows_without_an_interval_are_left_out_and_many_are_thinned():
    """What has no interval is not drawn, and a note says how many of how many are."""
    rows = make_rows(400)
    rows.loc[:99, "upper"] = np.nan
    ax = plot_intervals(rows, target_name="w", unit="").axes[0]
    assert ax.get_legend().get_title().get_text() == "150 of 300 photographs"
    assert sum(len(part.get_offsets()) for part in ax.collections if len(part.get_offsets()) > 1) == 150


def test_intervals_down_to_zero_are_drawn_on_logarithms(tmp_path):
    """A lower end of 0 reaches the edge of the figure instead of vanishing."""
    target = np.exp(np.linspace(-4, 4, 50) ** 3 / 16)
    rows = pd.DataFrame({"target": target, "prediction": target, "lower": 0.0, "upper": 2 * target})
    fig = plot_intervals(rows, target_name="w", unit="g")
    ax = fig.axes[0]
    assert ax.get_yscale() == "log"
    lowest = min(segment[:, 1].min() for segment in ax.collections[0].get_segments())
    assert lowest == pytest.approx(ax.get_ylim()[0])
    assert save_figures({"intervals": fig}, tmp_path)


def test_bars_of_verdicts_fill_the_width_with_hatching():
    """Shares sum to 1; review and reject are hatched, so that the bar can be read without colours."""
    ax = plot_verdicts({"home": make_verdicts(), "field": make_verdicts({"accept": 0.2, "reject": 0.8})}).axes[0]
    widths = [bar.get_width() for bar in ax.patches]
    assert widths[:3] == pytest.approx([0.81, 0.12, 0.07])
    assert sum(widths[3:]) == pytest.approx(1.0)
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [False, True, True] * 2
    assert to_hex(ax.patches[0].get_facecolor()) == GREEN.lower()


def test_risk_coverage_shows_curve_wish_and_accepted_answers():
    """The diamond stands at the accepted share and its error, the dashed line at the wanted error."""
    verdicts = make_verdicts()
    ax = plot_risk_coverage({"home": verdicts}, unit="", is_share=True).axes[0]
    diamond = next(line for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata()))
    assert (diamond.get_xdata()[0], diamond.get_ydata()[0]) == (0.81, 0.03)
    assert any(list(line.get_ydata()) == [0.05, 0.05] for line in ax.lines)
    assert ax.get_ylabel() == "Wrong among them"


def test_risk_of_numbers_has_their_unit():
    """Mean absolute errors are no percentages, and nothing was wished for."""
    verdicts = make_verdicts(wanted=None)
    ax = plot_risk_coverage({"home": verdicts, "field": verdicts}, unit="g", is_share=False).axes[0]
    assert ax.get_ylabel() == "Mean absolute error (g)"
    assert plot_risk_coverage({"a": verdicts}, unit="", is_share=False).axes[0].get_ylabel() == "Mean absolute error"
    assert not any("wanted" in text.get_text() for text in ax.texts)


def test_endless_intervals_do_not_stop_the_figures(tmp_path):
    """An interval that could not be bounded reaches the edge, its width is a dash."""
    rows = make_rows()
    rows.loc[2, ["lower", "upper"]] = [-np.inf, np.inf]
    entry = make_intervals()
    entry = dataclasses.replace(entry, rows=[dataclasses.replace(row, size=np.inf) for row in entry.rows])
    figures = {"intervals": plot_intervals(rows, target_name="w", unit="g"), "coverage": plot_coverage(entry)}
    assert len(save_figures(figures, tmp_path)) == 2
    assert np.isfinite(figures["intervals"].axes[0].get_ylim()).all()
    assert "\u2013" in [text.get_text() for text in figures["coverage"].axes[1].texts]
