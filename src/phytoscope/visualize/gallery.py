"""Pictures of the mistakes: what the model saw when it was wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps, UnidentifiedImageError

from phytoscope.schema.report import Confusion, SplitReport
from phytoscope.schema.table import LABEL, PREDICTION, PROBABILITY, SAMPLE_ID, TARGET
from phytoscope.visualize.style import GREEN, GREY, PALE, VERMILION, paper_style
from phytoscope.visualize.text import figure_text, format_number, format_quantity, prettify_classes, wrap_figure_text

FindImage = Callable[[str], Path | None]
"""Sample id -> where its picture is; None when nobody knows."""

THUMBNAIL_PX = 320
GALLERY_DPI = 200
# Pictures larger than this are not worth minutes of decoding for a thumbnail.
_MAX_PIXELS = 150_000_000
_TILE_IN = 1.35
_GAP_IN = 0.12


def read_thumbnail(path: Path | None, side_px: int = THUMBNAIL_PX) -> npt.NDArray[np.uint8] | None:
    """Reads a small upright RGB version of a picture.

    Args:
        path: File to read; None when it is not known.
        side_px: Longer side of the result, at most.

    Returns:
        Pixels of shape (H, W, 3), uint8, at most `side_px` a side, or None when the picture is missing, cannot be
        decoded or is too large: the galleries show a grey tile instead, because a report must not fail over a picture.
    """
    if path is None:
        return None
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                return None
            picture.draft("RGB", (2 * side_px, 2 * side_px))
            small = ImageOps.exif_transpose(picture)
            small.thumbnail((side_px, side_px))
            return _to_rgb(small)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _to_rgb(picture: Image.Image) -> npt.NDArray[np.uint8]:
    if picture.mode.startswith(("I", "F")):
        # Pillow clips 16-bit grey at 255, which turns the picture white.
        values = np.asarray(picture, dtype=np.float64)
        scaled = 255.0 * (values - values.min()) / max(float(np.ptp(values)), 1.0)
        return np.repeat(scaled.astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"), dtype=np.uint8)


@paper_style()
def plot_confusion_gallery(
    part: SplitReport, rows: pd.DataFrame, find_image: FindImage, *, pairs: int = 6, pictures: int = 4
) -> Figure:
    """Shows the most frequent mistakes: the pictures that were mixed up, and one of the class they were taken for.

    Args:
        part: The numbers of one split.
        rows: Rows of the same split of table 7 with `sample_id`, `label`, `prediction` and `probability`.
        find_image: Gives the path of a sample's picture.
        pairs: Most pairs of classes to show, one line each.
        pictures: Most wrong pictures to show of each pair, the most confident mistake first.
    """
    shown = part.top_confusions[:pairs]
    words = prettify_classes([row.name for row in part.classes])
    line_in = _TILE_IN + 0.62
    width_in = (pictures + 1) * (_TILE_IN + _GAP_IN) + 0.45
    height_in = max(1, len(shown)) * line_in + 0.1
    fig = Figure(figsize=(width_in, height_in), dpi=GALLERY_DPI)
    if not shown:
        fig.text(0.5, 0.5, "No mistakes to show", ha="center", va="center", color=GREY, fontsize=11)
    for line, pair in enumerate(shown):
        top = height_in - 0.1 - line * line_in
        title = f"{words[pair.true]}  \u2192  taken for  {words[pair.predicted]}"
        fig.text(
            0.12 / width_in, (top - 0.05) / height_in, figure_text(title, 88), va="top", fontweight="bold", fontsize=8.5
        )
        note = f"{pair.count} of {_support(part, pair)} images ({100 * pair.share_of_true:.0f} %)"
        fig.text(0.12 / width_in, (top - 0.22) / height_in, note, va="top", color=GREY, fontsize=7.5)
        for column, (sample_id, caption, colour) in enumerate(_list_tiles(pair, rows, pictures)):
            left = 0.12 + column * (_TILE_IN + _GAP_IN) + (0.2 if colour == GREEN else 0.0)
            box = (left / width_in, (top - 0.38 - _TILE_IN) / height_in, _TILE_IN / width_in, _TILE_IN / height_in)
            draw_tile(fig.add_axes(box), read_thumbnail(find_image(sample_id)), caption, colour)
    return fig


def _support(part: SplitReport, pair: Confusion) -> int:
    return next(row.support for row in part.classes if row.name == pair.true)


def _list_tiles(pair: Confusion, rows: pd.DataFrame, pictures: int) -> list[tuple[str, str, str]]:
    """Sample id, caption and frame colour of each tile; the last one is a right picture of the predicted class."""
    sure = dict(zip(rows[SAMPLE_ID], rows[PROBABILITY], strict=True))
    tiles = [(name, f"{100 * sure[name]:.0f} % sure", VERMILION) for name in pair.sample_ids[:pictures]]
    right = rows.loc[(rows[LABEL] == pair.predicted) & (rows[PREDICTION] == pair.predicted)]
    if not right.empty:
        example = right.sort_values([PROBABILITY, SAMPLE_ID], ascending=[False, True])[SAMPLE_ID].iloc[0]
        tiles.append((example, "a true example", GREEN))
    return tiles


@paper_style()
def plot_error_gallery(
    part: SplitReport, rows: pd.DataFrame, find_image: FindImage, *, unit: str, columns: int = 4
) -> Figure:
    """Shows the pictures with the largest errors, worst first.

    Args:
        part: The numbers of one split.
        rows: Rows of the same split of table 7 with `sample_id`, `target` and `prediction`, both in `unit`.
        find_image: Gives the path of a sample's picture.
        unit: The user's unit; may be empty.
        columns: Pictures in one line.
    """
    values = {
        name: (true, predicted)
        for name, true, predicted in zip(rows[SAMPLE_ID], rows[TARGET], rows[PREDICTION], strict=True)
    }
    lines = max(1, -(-len(part.worst) // columns))
    tile_in, line_in = 1.6, 1.6 + 0.55
    width_in, height_in = columns * (tile_in + _GAP_IN) + _GAP_IN, lines * line_in + 0.1
    fig = Figure(figsize=(width_in, height_in), dpi=GALLERY_DPI)
    for number, sample_id in enumerate(part.worst):
        line, column = divmod(number, columns)
        left, bottom = _GAP_IN + column * (tile_in + _GAP_IN), height_in - 0.1 - line * line_in - tile_in
        ax = fig.add_axes((left / width_in, bottom / height_in, tile_in / width_in, tile_in / height_in))
        true, predicted = values[sample_id]
        error = ("+" if predicted > true else "") + format_number(predicted - true)
        caption = f"true {figure_text(format_quantity(true, unit))}\npredicted {format_number(predicted)} ({error})"
        draw_tile(ax, read_thumbnail(find_image(sample_id)), caption, PALE)
    return fig


def draw_tile(ax: Axes, pixels: npt.NDArray[np.uint8] | None, caption: str, colour: str) -> None:
    """Draws one framed picture with its caption.

    Args:
        ax: Where to draw.
        pixels: Shape (H, W, 3), uint8; None draws a grey tile that says the image is missing.
        caption: Lines of text beneath.
        colour: Colour of the frame.
    """
    if pixels is None:
        ax.set_facecolor("#E8EBE9")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        ax.text(0.5, 0.5, wrap_figure_text("image missing", 10, 2), ha="center", va="center", color=GREY)
    else:
        ax.imshow(pixels, interpolation="antialiased")
    # The tile is square whatever the picture's shape, so the captions of a line stand at one height.
    ax.set_box_aspect(1)
    ax.set_aspect("auto" if pixels is None else "equal", adjustable="datalim")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color(colour)
    ax.spines[:].set_linewidth(1.6)
    ax.set_xlabel(caption, fontsize=7.5, labelpad=3)
