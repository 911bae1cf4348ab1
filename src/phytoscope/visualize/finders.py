"""The figure of a learning-rate range test."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phytoscope.visualize.style import BLUE, ORANGE, PALE, new_figure, paper_style


@paper_style()
def plot_learning_rates(
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    smoothed: NDArray[np.float64],
    *,
    suggestion: float | None,
    chosen: float,
) -> Figure:
    """Draws the loss against the learning rate.

    Args:
        rates: Learning rates, shape (steps,), rising.
        losses: Loss of each step, shape (steps,).
        smoothed: Running mean of the losses, shape (steps,).
        suggestion: Suggested rate; None when there is none.
        chosen: The rate of the settings.
    """
    figure = new_figure(5.2, 3.2)
    ax = figure.add_subplot()
    ax.plot(rates, losses, color=PALE, linewidth=0.8, label="each step")
    ax.plot(rates, smoothed, color=BLUE, label="running mean")
    ax.axvline(chosen, color=PALE, linestyle="--", label=f"settings: {chosen:.1e}")
    if suggestion is not None:
        ax.axvline(suggestion, color=ORANGE, label=f"falls fastest: {suggestion:.1e}")
    ax.set_xscale("log")
    low, high = float(smoothed.min()), float(np.median(smoothed[: max(1, len(smoothed) // 4)]))
    spread = max(high - low, 1e-6)
    ax.set_ylim(low - 0.5 * spread, high + 2.0 * spread)
    ax.set(xlabel="learning rate of the head", ylabel="training loss", title="Learning-rate range test")
    ax.yaxis.grid(visible=True)
    ax.legend()
    return figure
