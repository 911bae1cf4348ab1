"""A sheet of small pictures with a number and a few words below each."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from phytoscope.schema.artifact import write_atomic
from phytoscope.visualize.gallery import GALLERY_DPI, read_thumbnail
from phytoscope.visualize.style import GREY, INK, PALE, paper_style
from phytoscope.visualize.text import wrap_figure_text

_TILE_IN, _WORDS_IN = 1.3, 0.42
_THUMBNAIL_PX = 240
_WORDS_PER_LINE, _MOST_LINES = 24, 2


@paper_style()
def plot_contact_sheet(pictures: Sequence[Path], words: Sequence[str], *, columns: int = 6) -> Figure:
    """Shows pictures in their order, numbered from 1.

    Args:
        pictures: Files; one that cannot be read is shown as a grey tile.
        words: A few words on each.
        columns: Pictures side by side, at most.
    """
    across = max(1, min(columns, len(pictures)))
    down = max(1, math.ceil(len(pictures) / across))
    figure = Figure(figsize=(across * _TILE_IN, down * (_TILE_IN + _WORDS_IN)))
    for place, (path, said) in enumerate(zip(pictures, words, strict=True)):
        row, column = divmod(place, across)
        height = 1 / down
        words_share = height * _WORDS_IN / (_TILE_IN + _WORDS_IN)
        axes = figure.add_axes(
            (column / across + 0.004, 1 - (row + 1) * height + words_share, 1 / across - 0.008, height - words_share)
        )
        axes.set_axis_off()
        pixels = read_thumbnail(path, _THUMBNAIL_PX)
        if pixels is None:
            axes.set_facecolor(PALE)
            axes.patch.set_visible(True)
            axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=GREY, fontsize=6)
        else:
            axes.imshow(pixels, interpolation="antialiased")
            axes.set_anchor("S")
        text = wrap_figure_text(f"{place + 1}  {said}", _WORDS_PER_LINE, _MOST_LINES)
        axes.text(0.5, -0.03, text, ha="center", va="top", color=INK, fontsize=5.5, transform=axes.transAxes)
    return figure


@paper_style()
def write_contact_sheet(figure: Figure, path: Path) -> None:
    """Writes the sheet as a PNG file.

    Raises:
        StorageError: It cannot be written.
    """
    with write_atomic(path) as temporary, warnings.catch_warnings():
        # A class name in a script for which no font is installed shows as boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format="png", dpi=GALLERY_DPI, metadata={"Software": None})
