"""Pictures of explanations: the photograph beside what the answer rests on."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from phytoscope import __version__
from phytoscope.schema.explanation import (
    LEAST_PLANT,
    OUTSIDE_LIMIT,
    ExplainedImage,
    ExplanationMethod,
    ExplanationReport,
)
from phytoscope.visualize.gallery import GALLERY_DPI
from phytoscope.visualize.page import encode_address, render_page
from phytoscope.visualize.style import GREEN, GREY, VERMILION, paper_style
from phytoscope.visualize.text import figure_text, format_count, format_percent, prettify_class, wrap_figure_text

PICTURES_SHOWN: Final = 120
"""Images on a page; the table holds all of them."""
# Dark to light, evenly in lightness: it can be read in grey and with every colour-vision deficiency.
_HEAT_COLOURS = "inferno"
_LEAST, _MOST = 0.08, 0.75
_TILE_IN, _GAP_IN, _WORDS_IN = 1.5, 0.08, 0.66
_PAGE_SIDE_PX = 224
METHOD_WORDS: Final = {
    ExplanationMethod.grad_cam: "Grad-CAM",
    ExplanationMethod.hires_cam: "HiResCAM",
    ExplanationMethod.layer_cam: "LayerCAM",
    ExplanationMethod.eigen_cam: "EigenCAM",
    ExplanationMethod.attention_rollout: "attention roll-out",
}
"""Names for readers."""


@dataclass(frozen=True)
class ExplainedPicture:
    """One explained image with its pixels.

    Attributes:
        pixels: What the network saw, shape (S, S, 3), uint8, RGB, 0-255.
        heat: Shape (S, S), float32, 0-1.
        row: What is said about it.
    """

    pixels: npt.NDArray[np.uint8]
    heat: npt.NDArray[np.float32]
    row: ExplainedImage


def lay_heat(pixels: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Lays a heat map over its picture: bright yellow where most of the answer comes from, grey where nothing does.

    Args:
        pixels: Shape (S, S, 3), uint8, RGB, 0-255.
        heat: Shape (S, S), float32, 0-1.

    Returns:
        Shape (S, S, 3), uint8.
    """
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    base = 0.15 * pixels + 0.85 * grey[:, :, None]
    colours = 255 * mpl.colormaps[_HEAT_COLOURS](np.clip(heat, 0, 1))[:, :, :3]
    share = np.clip((heat - _LEAST) / (1 - _LEAST), 0, 1)[:, :, None] ** 0.6 * _MOST
    laid: npt.NDArray[np.uint8] = np.clip(base * (1 - share) + colours * share + 0.5, 0, 255).astype(np.uint8)
    return laid


@paper_style()
def plot_explanations(pictures: Sequence[ExplainedPicture], *, columns: int = 3) -> Figure:
    """Shows photographs beside what their answers rest on, with words below.

    Args:
        pictures: What to show, in order.
        columns: Pairs in one line.
    """
    lines = max(1, -(-len(pictures) // columns))
    pair_in = 2 * _TILE_IN + _GAP_IN
    width_in = columns * (pair_in + 3 * _GAP_IN) + _GAP_IN
    height_in = lines * (_TILE_IN + _WORDS_IN) + _GAP_IN
    fig = Figure(figsize=(width_in, height_in), dpi=GALLERY_DPI)
    if not pictures:
        fig.text(0.5, 0.5, "Nothing was explained", ha="center", va="center", color=GREY, fontsize=11)
    for number, picture in enumerate(pictures):
        line, column = divmod(number, columns)
        left = _GAP_IN + column * (pair_in + 3 * _GAP_IN)
        bottom = height_in - _GAP_IN - line * (_TILE_IN + _WORDS_IN) - _TILE_IN
        for place, shown in enumerate((picture.pixels, lay_heat(picture.pixels, picture.heat))):
            at = left + place * (_TILE_IN + _GAP_IN)
            ax = fig.add_axes((at / width_in, bottom / height_in, _TILE_IN / width_in, _TILE_IN / height_in))
            ax.imshow(shown)
            ax.set_axis_off()
        headline, note = _word_picture(picture.row)
        colour = GREY if picture.row.is_right is None else GREEN if picture.row.is_right else VERMILION
        x = left / width_in
        fig.text(
            x, (bottom - 0.05) / height_in, wrap_figure_text(headline, 58, 2), va="top", fontsize=7.5, color=colour
        )
        fig.text(x, (bottom - 0.33) / height_in, figure_text(note, 60), va="top", fontsize=7, color=GREY)
    return fig


def build_explanation_page(report: ExplanationReport, pictures: Sequence[ExplainedPicture], *, title: str) -> str:
    """Renders one page that is complete in itself, with the first pictures beside their heat maps.

    Args:
        report: What the explanations say together.
        pictures: What is shown; those after the first 120 are left out.
        title: Headline of the page.

    Returns:
        The page as HTML text; write it as UTF-8.
    """
    shown = [_describe_picture(picture) for picture in pictures[:PICTURES_SHOWN]]
    context = {
        "title": title,
        "version": __version__,
        "method": METHOD_WORDS[report.method],
        "report": report,
        "sentences": describe_explanations(report),
        "limit": format_percent(OUTSIDE_LIMIT, 0),
        "pictures": shown,
        "more": max(0, len(pictures) - len(shown)),
    }
    return render_page("explanations.html.j2", context, styles=("report.css", "explanations.css"))


def describe_explanations(report: ExplanationReport) -> list[str]:
    """What the explanations of some images say together, in sentences."""
    said = [f"{format_count(report.n, 'image')} explained with {METHOD_WORDS[report.method]}."]
    if report.outside_plant is not None and report.share_outside is not None:
        mean, limit = format_percent(report.outside_plant, 0), format_percent(OUTSIDE_LIMIT, 0)
        share = "none" if report.share_outside == 0 else format_percent(report.share_outside, 0)
        said.append(
            f"On average {mean} of the heat lies outside the plant; it is more than {limit} in {share} of them."
        )
    if report.share_better is not None:
        said.append(f"{format_percent(report.share_better, 0)} of the heat maps are better than a random one.")
    return said


def _word_picture(row: ExplainedImage) -> tuple[str, str]:
    headline = row.answer
    if row.is_right is not None:
        # In words, because not every reader tells the two colours apart.
        headline = f"{'Right' if row.is_right else 'Wrong'}: {row.answer}, true: {row.truth}"
    notes = ["no plant found" if row.plant_share < LEAST_PLANT else "no place speaks for it"]
    if row.outside_plant is not None:
        notes = [f"{format_percent(row.outside_plant, 0)} of the heat off the plant{' (!)' * row.looks_outside}"]
    if row.test is not None and not row.test.better_than_random:
        notes.append("map no better than random")
    return headline, "; ".join(notes)


def _describe_picture(picture: ExplainedPicture) -> dict[str, Any]:
    row = picture.row
    return {
        "name": Path(row.name).name,
        "path": row.name,
        "answer": row.answer,
        "truth": row.truth,
        "is_right": row.is_right,
        "explained": prettify_class(row.explained),
        "photo": _encode(picture.pixels),
        "heat": _encode(lay_heat(picture.pixels, picture.heat)),
        "looks_outside": row.looks_outside,
        "outside": None if row.outside_plant is None else format_percent(row.outside_plant, 0),
        "has_plant": row.plant_share >= LEAST_PLANT,
        "plant": format_percent(row.plant_share, 0),
        "tested": row.test is not None,
        "better": row.test is not None and row.test.better_than_random,
    }


def _encode(pixels: npt.NDArray[np.uint8]) -> str:
    content = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PAGE_SIDE_PX, _PAGE_SIDE_PX))
    picture.save(content, "jpeg", quality=80, optimize=True)
    return encode_address(content.getvalue(), "jpeg")
