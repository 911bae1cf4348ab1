"""Figure of the robustness: how fast the answers become worse as the pictures do."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phytoscope.schema.robustness import RobustnessReport, RobustnessRow
from phytoscope.schema.table import Task
from phytoscope.visualize.style import BLUE, GREY, ORANGE, PALE, new_figure, paper_style
from phytoscope.visualize.text import figure_text

_COLUMNS = 4


@paper_style()
def plot_robustness(report: RobustnessReport) -> Figure:
    """One small panel a kind: the score at each severity, the share of accepted answers, and the clean value as a line.

    Args:
        report: The numbers.
    """
    kinds = report.kinds
    lines = max(1, -(-len(kinds) // _COLUMNS))
    figure = new_figure(1.9 * _COLUMNS, 1.55 * lines + 0.5)
    axes = figure.subplots(lines, _COLUMNS, squeeze=False, sharex=True, sharey=True)
    panels = [ax for line in axes for ax in line]
    for ax in panels[len(kinds) :]:
        ax.set_visible(False)
    for ax, kind in zip(panels, kinds, strict=False):
        _draw_panel(ax, report.of(kind), report.clean)
    lowest = min((row.score for row in report.rows if row.score is not None), default=0.0)
    panels[0].set_ylim(max(-1.0, min(0.0, lowest)) - 0.03, 1.03)
    panels[0].set_xlim(-0.3, 5.3)
    panels[0].set_xticks(range(6))
    metric = "accuracy" if report.task is Task.classification else "R²"
    figure.supxlabel("severity (0: the picture as it is)", fontsize=9)
    figure.supylabel(metric if report.clean.accept is None else f"{metric}, or share accepted", fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, [name.replace("score", metric) for name in names], loc="outside upper right", ncols=3)
    return figure


def _draw_panel(ax: Axes, rows: list[RobustnessRow], clean: RobustnessRow) -> None:
    first = rows[0]
    ax.yaxis.grid(visible=True)
    if first.clean_score is not None:
        ax.axhline(
            first.clean_score,
            color=GREY,
            linewidth=0.8,
            linestyle=(0, (3, 2)),
            label="score of the pictures as they are",
        )
    known = [(row.severity, row.score) for row in rows if row.score is not None]
    start = [(0, first.clean_score)] if first.clean_score is not None else []
    places, scores = zip(*start, *known, strict=True) if start or known else ((), ())
    ax.plot(places, scores, color=BLUE, marker="o", markersize=3, label="score", clip_on=False)
    judged = [(row.severity, row.accept) for row in (clean, *rows) if row.accept is not None]
    if judged:
        # Another mark and another stroke, so that the two lines differ without colours too.
        places, shares = zip(*judged, strict=True)
        ax.plot(places, shares, color=ORANGE, marker="s", markersize=3, linestyle="--", label="share accepted")
    ax.set_title(figure_text(first.words, 26), fontsize=8.5)
    ax.spines["left"].set_color(PALE)
