"""Writes tables and the picture into the page about capacity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from capacity_tables import IMAGES, MACHINES, build_trainings, build_works, write_tables
from extrapolating import Fleet, estimate

from phytoscope.visualize.style import BLUE, GREEN, GREY, INK, ORANGE, new_figure, paper_style, save_figures

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PICTURE = DOCS / "guides" / "capacity.md", DOCS / "images" / "capacity.png"
COLOURS = dict(zip(MACHINES, (ORANGE, GREEN, BLUE), strict=True))
_NEAR = 1.9
_POINTS = (*IMAGES[:2], 10_000_000, IMAGES[-1])


def fill_page(text: str, tables: Mapping[str, str]) -> str:
    """Puts each table between its two marks.

    Raises:
        ValueError: A mark is missing.
    """
    for name, table in tables.items():
        begin, end = f"<!-- begin {name}: written by benchmarks/capacity -->", f"<!-- end {name} -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"
    return text


def write_page(numbers: Mapping[str, Any]) -> None:
    """Writes tables and picture."""
    PAGE.write_text(fill_page(PAGE.read_text(encoding="utf-8"), write_tables(numbers)), encoding="utf-8")
    draw(numbers)


@paper_style()
def draw(numbers: Mapping[str, Any]) -> None:
    """Hours against images, for one machine and more, in a panel for each operation; dashed where one process is the
    limit.
    """
    given = numbers["fleet"]
    works = [*build_works(numbers, "256 px"), build_trainings(numbers)[1]]
    figure = new_figure(7.2, 2.6)
    axes = figure.subplots(1, len(works), sharey=True)
    for ax, work in zip(axes, works, strict=True):
        labels: dict[float, str] = {}
        for machines in MACHINES:
            fleet = Fleet(machines, given["cores"], given["network_mb_s"])
            found = [estimate(work, fleet, images) for images in _POINTS]
            is_alone = "process" in found[0].limit
            hours = [one.hours for one in found]
            ax.plot(_POINTS, hours, color=COLOURS[machines], linestyle="--" if is_alone else "-", linewidth=1.2)
            # Lines that end at nearly the same place share a label.
            near = next((end for end in labels if end / _NEAR < hours[-1] < end * _NEAR), hours[-1])
            labels[near] = f"{labels[near]}, {machines}" if near in labels else f"{machines}"
        for end, label in labels.items():
            ax.annotate(label, (_POINTS[-1], end), (3, -2), textcoords="offset points", fontsize=6.5)
        ax.axhline(24, color=GREY, linewidth=0.6, linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel="Images", title=work.name.split(",")[0].capitalize())
        ax.title.set_fontsize(8)
        ax.tick_params(labelsize=7)
        ax.set_xlim(_POINTS[0] * 0.7, _POINTS[-1] * 12)
    axes[0].set_ylabel("Hours")
    axes[0].annotate("a day", (_POINTS[0], 24), (0, 2), textcoords="offset points", fontsize=6.5, color=INK)
    save_figures({PICTURE.stem: figure}, PICTURE.parent)
    PICTURE.with_suffix(".pdf").unlink()
