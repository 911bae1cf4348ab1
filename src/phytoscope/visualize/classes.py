"""Figures about predicted classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phytoscope.schema.report import SplitReport
from phytoscope.visualize.style import BLUE, GREEN, INK, ORANGE, PALE, SEQUENTIAL, new_figure, paper_style
from phytoscope.visualize.text import figure_text, prettify_classes

_NUMBERS_UP_TO_CLASSES = 60


@paper_style()
def plot_confusion_matrix(part: SplitReport, class_names: Sequence[str]) -> Figure:
    """Draws how often each true class was given each predicted class.

    Colour is the share of the true class, the number in a cell counts images; empty cells stay empty.

    Args:
        part: The numbers of one split.
        class_names: In the order of the matrix.
    """
    counts = np.array(part.confusion, dtype=np.int64)
    n = len(class_names)
    is_small = n <= 8
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = _tick_labels(class_names)
    # Many classes get small cells and small type, so that the whole matrix still fits a page.
    tick_size = 8.5 if n <= 20 else 7.5
    margin = 1.0 + 0.0076 * tick_size * max(len(label) for label in labels)
    cell = 0.55 if is_small else max(0.2, 0.42 - 0.0075 * n)
    side = max(1.7, cell * n)
    fig = new_figure(side + margin + 0.9, side + margin * (0.62 if is_small else 0.95))
    ax = fig.add_subplot()
    image = ax.imshow(share, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="equal")
    ax.set_xticks(
        range(n),
        labels,
        rotation=40 if is_small else 90,
        ha="right" if is_small else "center",
        rotation_mode="anchor" if is_small else None,
    )
    ax.set_yticks(range(n), labels)
    ax.tick_params(labelsize=tick_size)
    ax.set_xlabel("Predicted class", fontweight="bold")
    ax.set_ylabel("True class", fontweight="bold")
    _draw_grid(ax, n)
    if n <= _NUMBERS_UP_TO_CLASSES:
        size = 9 if is_small else max(4.5, 7.5 - 0.055 * n)
        for i, j in np.argwhere(counts > 0):
            colour = "white" if share[i, j] > 0.55 else INK
            ax.text(j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=size, color=colour)
    bar = fig.colorbar(image, ax=ax, shrink=min(1.0, 3.0 / side), aspect=18, pad=0.02)
    bar.set_ticks([0, 0.5, 1], labels=["0 %", "50 %", "100 %"])
    bar.set_label("Share of the true class")
    bar.outline.set_visible(False)
    return fig


def _draw_grid(ax: Axes, n: int) -> None:
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=PALE, linewidth=0.4)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)


@paper_style()
def plot_per_class(part: SplitReport) -> Figure:
    """Draws precision, recall and F1 of every class, the weakest class first.

    Args:
        part: The numbers of one split.
    """
    names = prettify_classes([row.name for row in part.classes])
    rows = sorted(part.classes, key=lambda row: (row.f1 is not None, row.f1 or 0.0, row.name), reverse=True)
    fig = new_figure(6.8, 1.3 + 0.26 * len(rows))
    ax = fig.add_subplot()
    for y, row in enumerate(rows):
        if row.f1_low is not None and row.f1_high is not None:
            ax.plot([row.f1_low, row.f1_high], [y - 0.24] * 2, color=GREEN, linewidth=1.2, alpha=0.7, zorder=2)
        points = [row.precision, row.recall]
        known = [value for value in points if value is not None]
        if len(known) == 2:
            ax.plot(known, [y, y], color=PALE, linewidth=2.2, solid_capstyle="round", zorder=1)
        for value, colour, marker in ((row.precision, ORANGE, "^"), (row.recall, BLUE, "o"), (row.f1, GREEN, "D")):
            if value is not None:
                ax.plot(
                    [value], [y], marker=marker, color=colour, markersize=5, linestyle="none", clip_on=False, zorder=3
                )
        ax.annotate(
            f"{row.support}", (1.035, y), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )
    ax.annotate("images", (1.035, 1.0), xycoords="axes fraction", va="bottom", fontsize=8, annotation_clip=False)
    ax.set_yticks(range(len(rows)), [figure_text(names[row.name]) for row in rows])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    ax.grid(axis="both")
    ax.tick_params(axis="y", length=0)
    handles = [
        Line2D([], [], marker=marker, color=colour, linestyle="none", markersize=5, label=label)
        for label, colour, marker in (("precision", ORANGE, "^"), ("recall", BLUE, "o"), ("F1", GREEN, "D"))
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    return fig


def _tick_labels(class_names: Sequence[str]) -> list[str]:
    words = prettify_classes(class_names)
    return [figure_text(words[name]) for name in class_names]
