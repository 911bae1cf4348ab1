"""One look for all figures: colours that colour-blind readers can tell apart, thin lines, 300 dpi, no chart junk."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.table import Split

# Okabe and Ito, "Color Universal Design", 2008: distinguishable with every common colour-vision deficiency.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILION: Final = "#D55E00"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
INK: Final = "#1F2A24"
GREY: Final = "#7A857E"
PALE: Final = "#D9DEDB"

SPLIT_COLOURS: Final = {
    str(Split.train): BLUE,
    str(Split.val): SKY,
    str(Split.calibration): ORANGE,
    str(Split.test): GREEN,
}
SEQUENTIAL: Final = LinearSegmentedColormap.from_list("leaf", ["#FFFFFF", "#CDE8DC", "#66B99A", "#0B7A55", "#053D2C"])

DPI: Final = 300
_WITHOUT_DATES: Final = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}
# DejaVu comes with matplotlib; the others fill in scripts it lacks, on computers that have them.
_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Noto Sans Devanagari",
)
# matplotlib's settings belong to the whole process, so two threads must not change them at once.
_LOCK = threading.RLock()


def _settings() -> Any:
    installed = set(font_manager.get_font_names())
    return {
        "font.family": [name for name in _FONTS if name in installed],
        "font.size": 8.5,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.labelsize": 9,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": PALE,
        "grid.linewidth": 0.5,
        "text.color": INK,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "lines.linewidth": 1.4,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": "white",
        "savefig.dpi": "figure",
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "phytoscope",
        "text.usetex": False,
    }


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """Sets matplotlib's settings for the time of a `with` block or of a decorated function, then puts them back.

    Only one thread at a time gets in; pyplot is not involved, so no figure outlives its last reference.
    """
    with _LOCK, mpl.rc_context(_settings()):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty white figure of the given size in inches that arranges its own margins."""
    return Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")


def use_log_axis(ax: Axes, which: str) -> None:
    """Makes one axis (`x` or `y`) logarithmic, with plain numbers at 1, 2 and 5 of each decade."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save_figures(figures: Mapping[str, Figure], folder: Path) -> dict[str, Path]:
    """Writes each figure as a PNG (300 dpi, photographs 200) and as a PDF with vector lines, atomically.

    Args:
        figures: Name -> figure; the name becomes the file name.
        folder: Where to write, usually `figures/` of the run; created if need be.

    Returns:
        Name -> path of the PNG; the PDF stands beside it.

    Raises:
        StorageError: The folder cannot be written or the disk is full.
    """
    paths = {}
    for name, figure in figures.items():
        paths[name] = folder / f"{name}.png"
        with write_atomic(paths[name]) as temporary:
            _save(figure, temporary, "png")
        with write_atomic(folder / f"{name}.pdf") as temporary:
            _save(figure, temporary, "pdf")
    return paths


def draw_svg(figure: Figure) -> bytes:
    """The figure as an SVG file with its text as outlines, so that it looks the same on computers without the font."""
    content = io.BytesIO()
    _save(figure, content, "svg")
    return content.getvalue()


def _save(figure: Figure, target: Path | io.BytesIO, file_format: str) -> None:
    # Without dates and versions inside, the same numbers give the same bytes.
    metadata: dict[str, Any] = _WITHOUT_DATES[file_format]
    with paper_style(), warnings.catch_warnings():
        # A class name in a script for which no font is installed shows as boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # A figure with very long labels is drawn without the automatic layout.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        figure.savefig(target, format=file_format, metadata=metadata)
