"""The histograms of a target survive odd distributions."""

import numpy as np
import pytest

from phytoscope.visualize.audit_figures import plot_log_histogram, plot_target_histogram
from phytoscope.visualize.style import draw_svg


@pytest.mark.parametrize("values", [[1.0], [2.0] * 30, np.linspace(-0.9, 1e6, 500)])
def test_histograms_hold_all_values(values):
    """One value, a constant and a wide range all give bars whose heights add up."""
    values = np.asarray(values, dtype=np.float64)
    for figure in (
        plot_target_histogram(values, target_name="a $weight$", unit="g"),
        plot_log_histogram(values, target_name="weight"),
    ):
        (axes,) = figure.axes
        assert sum(patch.get_height() for patch in axes.patches) == len(values)
        assert draw_svg(figure).startswith(b"<?xml")


def test_svg_is_the_same_every_time():
    """The same numbers give the same bytes."""
    drawn = [draw_svg(plot_target_histogram(np.arange(9.0), target_name="w", unit="")) for _ in range(2)]
    assert drawn[0] == drawn[1]
