"""Figures of a sweep draw from the table of trials alone, whatever was tried."""

import pandas as pd

from phytoscope.visualize.sweep import draw_sweep

TRIALS = pd.DataFrame(
    {
        "trial": [2, 0, 1, 3],
        "state": ["complete", "complete", "pruned", "failed"],
        "objective": [0.3, 0.5, 0.9, None],
        "trainer.learning_rate": [1e-3, 1e-1, 1e-2, 1e-2],
        "adapt.kind": ["lora", "head", "lora", None],
        "trainer.profile": [True, False, True, True],
        "adapt.rank": [4, 8, 2, 1],
    }
)
KEYS = ["trainer.learning_rate", "adapt.kind", "trainer.profile", "adapt.rank"]


def test_history_shows_the_best_so_far():
    """The line goes through the trials in their order and never rises; ended trials are marked apart."""
    figure = draw_sweep(TRIALS, keys=KEYS, importance={}, metric="rmse on val")["sweep_history"]
    (ax,) = figure.axes
    assert ax.lines[0].get_xdata().tolist() == [0, 2]
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.3]
    assert len(ax.collections) == 2
    assert ax.get_ylabel() == "rmse on val"


def test_one_panel_a_setting():
    """Numbers over decades are drawn on a logarithmic axis, names by their name, empty places stay empty."""
    axes = draw_sweep(TRIALS, keys=KEYS, importance={}, metric="m")["sweep_settings"].axes
    shown = [ax for ax in axes if ax.get_visible()]
    assert [ax.get_xlabel() for ax in shown] == KEYS
    assert [ax.get_xscale() for ax in shown] == ["log", "linear", "linear", "linear"]
    assert [text.get_text() for text in shown[1].get_xticklabels()] == ["head", "lora"]


def test_importance_only_where_it_is_known():
    """Bars are sorted; without numbers there is no figure."""
    figures = draw_sweep(TRIALS, keys=KEYS, importance={"adapt.kind": 0.2, "adapt.rank": 0.8}, metric="m")
    widths = [bar.get_width() for bar in figures["sweep_importance"].axes[0].patches]
    assert widths == [0.2, 0.8]
    assert "sweep_importance" not in draw_sweep(TRIALS, keys=KEYS, importance={}, metric="m")
