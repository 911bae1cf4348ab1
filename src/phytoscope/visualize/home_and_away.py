"""The figure of how many photographs of each class are found at home and elsewhere."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phytoscope.schema.external import ExternalClass, ExternalReport
from phytoscope.schema.report import ClassRow, SplitReport
from phytoscope.visualize.external import HOME
from phytoscope.visualize.style import BLUE, PALE, PURPLE, VERMILION, new_figure, paper_style
from phytoscope.visualize.text import figure_text, prettify_classes

_LOOKS = ((BLUE, "o"), (VERMILION, "^"), (PURPLE, "s"))
_MOST_SETS = len(_LOOKS) - 1


@paper_style()
def plot_home_and_away(part: SplitReport, sets: Sequence[ExternalReport]) -> Figure:
    """Draws the share of each class that is found, at home and in further sets, with ranges.

    Args:
        part: The numbers of the split that the page shows.
        sets: Further sets of which at least one has labelled classes; the first two with any are drawn.
    """
    away = [further for further in sets if further.classes][:_MOST_SETS]
    present = {row.name for further in away for row in further.classes}
    names = [row.name for row in part.classes if row.name in present]
    words = prettify_classes([row.name for row in part.classes])
    columns: list[dict[str, ClassRow | ExternalClass]] = [{row.name: row for row in part.classes}]
    columns += [{row.name: row for row in further.classes} for further in away]
    height = 0.2 * len(columns) + 0.12
    fig = new_figure(6.8, 1.2 + height * len(names))
    ax = fig.add_subplot()
    for line, name in enumerate(names):
        ax.axhline(-line - 0.5, color=PALE, linewidth=0.5, zorder=0)
        for place, (rows, look) in enumerate(zip(columns, _LOOKS, strict=False)):
            row = rows.get(name)
            if row is not None:
                _draw_found(ax, -line + 0.3 * (0.5 * (len(columns) - 1) - place), row, look)
    ax.set_yticks([-line for line in range(len(names))], [figure_text(words[name], 44) for name in names])
    ax.set_ylim(-len(names) + 0.5, 0.5)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Photographs of the class that were found")
    titles = [HOME, *(further.name for further in away)]
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=6, label=figure_text(title, 40))
        for title, (colour, marker) in zip(titles, _LOOKS, strict=False)
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    return fig


def _draw_found(ax: Axes, y: float, row: ClassRow | ExternalClass, look: tuple[str, str]) -> None:
    if row.recall is None:
        return
    colour, marker = look
    if row.recall_low is not None and row.recall_high is not None:
        ax.plot([row.recall_low, row.recall_high], [y, y], color=colour, linewidth=1.5, alpha=0.55, zorder=2)
    ax.plot(row.recall, y, marker=marker, color=colour, markersize=6, linestyle="none", clip_on=False, zorder=3)
