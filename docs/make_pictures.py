"""Draws docs/images/demo.png from what `phytoscope demo` wrote: `python docs/make_pictures.py demo_output/...`."""

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image

from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import LABEL, PATH, PREDICTION, PROBABILITY, SPLIT, TARGET, Split
from phytoscope.steps import read_report
from phytoscope.visualize.style import new_figure, paper_style
from phytoscope.visualize.text import format_percent, prettify_class

_PHOTOS = 5
_GOOD, _BAD = "#007A55", "#B3401A"


def draw_hero(demo: Path) -> None:
    """Draws five leaves and five rosettes with their answers, and one plot of all answers for each task.

    Args:
        demo: Folder of one demo, with the runs `disease` and `biomass` in it.
    """
    disease, biomass = RunFolder(demo / "disease"), RunFolder(demo / "biomass")
    with paper_style():
        figure = new_figure(12.5, 4.1)
        grid = figure.add_gridspec(2, _PHOTOS + 2, width_ratios=[1] * _PHOTOS + [0.12, 2.0], hspace=0.22, wspace=0.05)
        for row, run in enumerate((disease, biomass)):
            report, rows = read_report(run), _test_rows(run)
            for column, (_, sample) in enumerate(_choose(rows).iterrows()):
                _draw_photo(figure.add_subplot(grid[row, column]), sample)
            axes = figure.add_subplot(grid[row, -1])
            (_draw_confusion if row == 0 else _draw_scatter)(axes, report, rows)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=120, bbox_inches="tight", format="png")
    # 256 colours are enough for the eye, and a third of the bytes in every clone.
    with write_atomic(Path(__file__).parent / "images" / "demo.png") as temporary:
        Image.open(drawn).convert("RGB").quantize(256).save(temporary, optimize=True)


def _test_rows(run: RunFolder) -> pd.DataFrame:
    predictions = pd.read_parquet(run.predictions)
    return predictions[predictions[SPLIT] == Split.test.value]


def _choose(rows: pd.DataFrame) -> pd.DataFrame:
    if TARGET in rows:
        ordered = rows.sort_values(TARGET)
        return ordered.iloc[np.linspace(len(ordered) // 5, len(ordered) - 1, _PHOTOS).astype(int)]
    return rows.groupby(LABEL).nth(1).head(_PHOTOS)


def _draw_photo(axes: Axes, sample: pd.Series) -> None:
    axes.imshow(np.asarray(Image.open(sample[PATH]).convert("RGB")))
    axes.set_axis_off()
    if TARGET in sample:
        text, colour = f"{sample[PREDICTION]:.2f} g   (scale: {sample[TARGET]:.2f} g)", "black"
    else:
        colour = _GOOD if sample[PREDICTION] == sample[LABEL] else _BAD
        text = f"{_short(sample[PREDICTION])}, {format_percent(sample[PROBABILITY], 0)}"
    axes.set_title(text, fontsize=8.5, fontweight="normal", color=colour, pad=4, loc="center")


def _short(name: str) -> str:
    return prettify_class(name).partition(": ")[2] or prettify_class(name)


def _draw_confusion(axes: Axes, report: EvaluationReport, rows: pd.DataFrame) -> None:
    part = report.splits[Split.test.value]
    counts = np.array(part.confusion)
    axes.imshow(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)), cmap="Greens", vmin=0, vmax=1)
    names = [_short(name) for name in report.class_names]
    axes.set_xticks(range(len(names)), [name[:1].upper() for name in names], fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.yaxis.tick_right()
    for (row, column), count in np.ndenumerate(counts):
        if count > 0:
            colour = "white" if row == column else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    axes.set_title(
        f"{len(rows)} photos of unseen leaves: {format_percent(report.metric('test', 'accuracy'))} right", fontsize=9
    )


def _draw_scatter(axes: Axes, report: EvaluationReport, rows: pd.DataFrame) -> None:
    axes.scatter(rows[TARGET], rows[PREDICTION], s=18, color=_GOOD, alpha=0.75, linewidths=0)
    limit = float(max(rows[TARGET].max(), rows[PREDICTION].max())) * 1.05
    axes.plot([0, limit], [0, limit], color="0.5", linewidth=0.8)
    axes.set(xlim=(0, limit), ylim=(0, limit), xlabel="on the scale, g")
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("predicted, g")
    axes.set_title(
        f"{len(rows)} photos of unseen plants: R² {report.metric('test', 'r2'):.2f}",
        fontsize=9,
        fontweight="normal",
        loc="center",
    )


if __name__ == "__main__":
    draw_hero(Path(sys.argv[1]))
