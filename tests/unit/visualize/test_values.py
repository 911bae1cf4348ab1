"""Figures about quantities show every row, with units, on axes that fit the values."""

import dataclasses

import numpy as np
import pytest

from factories.reports import build_regression
from phytoscope.visualize.style import save_figures
from phytoscope.visualize.values import is_skewed, plot_decile_error, plot_predicted_vs_actual, plot_residuals


def rows_of(run):
    return run.predictions[run.predictions["split"] == "test"]


def test_every_row_is_a_point_and_the_numbers_stand_beside_it(weights):
    """The box holds R2, RMSE, n and the baselines of the same rows."""
    part = weights.report.splits["test"]
    ax = plot_predicted_vs_actual(rows_of(weights), part, target_name="weight", unit="g").axes[0]
    assert len(ax.collections[0].get_offsets()) == 40
    assert ax.get_xlabel() == "True weight (g)"
    box = ax.texts[0].get_text()
    assert "n = 40 images, 10 groups" in box
    assert "R² = 0.9" in box
    assert "green pixels alone: RMSE 0." in box


@pytest.mark.parametrize(("asked", "scale"), [(True, "log"), (False, "linear")])
def test_log_axes_can_be_chosen(weights, asked, scale):
    """The user's choice goes before the skewness."""
    part = weights.report.splits["test"]
    fig = plot_predicted_vs_actual(rows_of(weights), part, target_name="weight", unit="g", log_axes=asked)
    assert fig.axes[0].get_xscale() == fig.axes[0].get_yscale() == scale


def test_negative_predictions_are_never_hidden_by_log_axes(weights):
    """A prediction below 0 forces linear axes, whatever was asked for."""
    rows = rows_of(weights).copy()
    rows.iloc[0, rows.columns.get_loc("prediction")] = -0.1
    fig = plot_predicted_vs_actual(rows, weights.report.splits["test"], target_name="w", unit="g", log_axes=True)
    assert fig.axes[0].get_xscale() == "linear"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.exp(np.linspace(-4, 4, 50) ** 3 / 16), True),
        (np.linspace(1, 40, 50), False),
        (np.append(np.exp(np.linspace(-4, 4, 50)), 0.0), False),
        (np.full(20, 3.0), False),
        (np.array([0.1, 100.0]), False),
    ],
)
def test_skewness_is_judged_from_positive_varied_values_only(values, expected):
    """Zeros, constants and tiny tables stay on linear axes."""
    assert is_skewed(values) is expected


def test_residuals_show_each_error_around_zero(weights):
    """The vertical axis is symmetric, so a bias is seen at once."""
    ax = plot_residuals(rows_of(weights), target_name="weight", unit="g").axes[0]
    low, high = ax.get_ylim()
    assert low == -high
    assert ax.get_ylabel() == "Error: predicted \u2212 true (g)"


def test_decile_bars_are_the_reports(weights):
    """One bar a slice, as high as its mean absolute error."""
    deciles = weights.report.splits["test"].deciles
    ax = plot_decile_error(deciles, target_name="weight", unit="").axes[0]
    assert [bar.get_height() for bar in ax.patches] == [row.mae for row in deciles]
    assert ax.get_ylabel() == "Error"


def test_ranges_of_decile_errors_are_drawn_where_they_are_known(full_weights):
    """Each bar carries its own range; without ranges there is no line."""
    deciles = full_weights.report.splits["test"].deciles
    ax = plot_decile_error(deciles, target_name="weight", unit="g").axes[0]
    (lines,) = ax.collections
    assert [segment[:, 1].tolist() for segment in lines.get_segments()] == [
        [row.mae_low, row.mae_high] for row in deciles
    ]
    bare = [dataclasses.replace(row, mae_low=None, mae_high=None) for row in deciles]
    assert not plot_decile_error(bare, target_name="weight", unit="g").axes[0].collections


@pytest.mark.parametrize("unit", ["", "$µmol m⁻²_$"])
def test_degenerate_splits_and_odd_units_are_drawn(unit, tmp_path):
    """One row, predicted exactly, in any unit, still gives figures."""
    run = build_regression(unit=unit, target_name="a_$b", n_per_split=1, noise=0.0)
    part = run.report.splits["test"]
    words = {"target_name": "a_$b", "unit": unit}
    figures = {
        "scatter": plot_predicted_vs_actual(rows_of(run), part, **words),
        "residuals": plot_residuals(rows_of(run), **words),
        "deciles": plot_decile_error(part.deciles, **words),
    }
    assert len(save_figures(figures, tmp_path)) == 3
