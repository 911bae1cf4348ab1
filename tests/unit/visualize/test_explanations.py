"""Explanations are drawn as they are: heat where it is, words for those who see no colours, one page in itself."""

import dataclasses

import numpy as np
import pytest

from phytoscope.schema.explanation import ExplainedImage, ExplanationMethod, HeatTest, report_explanations
from phytoscope.visualize.explanations import (
    PICTURES_SHOWN,
    ExplainedPicture,
    build_explanation_page,
    describe_explanations,
    lay_heat,
    plot_explanations,
)

GOOD, BAD = HeatTest(0.2, 0.8, 0.5, 0.5), HeatTest(0.6, 0.4, 0.5, 0.5)


def make_picture(name="a.jpg", *, is_right=True, outside=0.1, test=GOOD, truth="rust") -> ExplainedPicture:
    """A small picture with heat in its left half."""
    pixels = np.full((16, 16, 3), 120, dtype=np.uint8)
    heat = np.zeros((16, 16), dtype=np.float32)
    heat[:, :8] = 1.0
    row = ExplainedImage(
        name=name,
        explained="rust",
        answer="rust (90 %)",
        truth=truth,
        is_right=is_right,
        outside_plant=outside,
        plant_share=0.4,
        looks_outside=outside is not None and outside > 0.5,
        test=test,
    )
    return ExplainedPicture(pixels, heat, row)


def texts(figure) -> list[str]:
    """All words of a figure."""
    return [text.get_text() for text in figure.texts]


def test_heat_is_laid_where_it_is() -> None:
    """Cold places are the picture in grey, hot ones are bright and warm; more heat is never darker."""
    pixels = np.zeros((4, 64, 3), dtype=np.uint8)
    pixels[:] = (60, 140, 50)
    heat = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (4, 1))
    laid = lay_heat(pixels, heat)
    assert np.ptp(laid[0, 0].astype(int)) < 0.2 * np.ptp(pixels[0, 0].astype(int))
    assert laid[0, -1, 0] > 180 > laid[0, -1, 2]
    assert laid[0, -1].astype(int).sum() > laid[0, 0].astype(int).sum()
    assert (laid.shape, laid.dtype) == (pixels.shape, np.uint8)


def test_figure_shows_pairs_with_words() -> None:
    """Two pictures for each image, and what is wrong said in words."""
    figure = plot_explanations(
        [make_picture(), make_picture(is_right=False, outside=0.7, truth="scab"), make_picture(outside=None, test=BAD)]
    )
    assert len(figure.axes) == 6
    said = texts(figure)
    assert said[0] == "Right: rust (90 %), true: rust"
    assert said[1].startswith("10")
    assert said[2] == "Wrong: rust (90 %), true: scab"
    assert said[3].endswith("off the plant (!)")
    assert said[5] == "no place speaks for it; map no better than random"


def test_figure_of_nothing_says_so() -> None:
    """An empty figure is not an error."""
    assert texts(plot_explanations([])) == ["Nothing was explained"]


def test_sentences_and_warnings() -> None:
    """Shares are taken over the images where they are known."""
    rows = [make_picture(outside=each).row for each in (0.1, 0.2, 0.9, None)]
    report = report_explanations(ExplanationMethod.layer_cam, rows)
    assert report.share_outside == pytest.approx(1 / 3)
    assert report.outside_plant == pytest.approx(0.4)
    assert report.mean_test == GOOD
    said = describe_explanations(report)
    assert said[0] == "4 images explained with LayerCAM."
    assert "it is more than 50\u00a0% in 33\u00a0% of them" in said[1]
    assert "looks at the background in 33 % of the 4" in report.warnings[0]
    blind = report_explanations(ExplanationMethod.layer_cam, [make_picture(test=BAD).row])
    assert "Only 0 % of the heat maps are better than a random one" in blind.warnings[0]
    assert "it is more than 50\u00a0% in none of them" in describe_explanations(blind)[1]
    untested = report_explanations(ExplanationMethod.layer_cam, [make_picture(outside=None, test=None).row])
    assert (untested.share_outside, untested.share_better, untested.mean_test) == (None, None, None)
    assert untested.warnings == []


def test_missing_heat_and_missing_plant_are_not_the_same() -> None:
    """A picture of a plant without heat is not called a picture without a plant."""
    picture = make_picture(outside=None)
    assert texts(plot_explanations([picture]))[1] == "no place speaks for it"
    bare = dataclasses.replace(picture, row=dataclasses.replace(picture.row, plant_share=0.0))
    assert texts(plot_explanations([bare]))[1] == "no plant found"
    report = report_explanations(ExplanationMethod.hires_cam, [picture.row])
    assert "No place speaks for the answer." in build_explanation_page(report, [picture], title="x")
    assert "No plant was found." in build_explanation_page(report, [bare], title="x")


def test_page_is_complete_in_itself() -> None:
    """Pictures are part of the page, names from outside are escaped, long lists are cut with a word."""
    pictures = [make_picture("<script>alert(1)</script>.jpg", outside=0.9)] * (PICTURES_SHOWN + 2)
    report = report_explanations(ExplanationMethod.hires_cam, [picture.row for picture in pictures])
    page = build_explanation_page(report, pictures, title="My <b>leaves</b>")
    assert page.count("data:image/jpeg;base64,") == 2 * PICTURES_SHOWN
    assert "<script>alert" not in page
    assert "My &lt;b&gt;leaves&lt;/b&gt;" in page
    assert "… and 2 more" in page
    assert "Looks beside the plant:" in page
    assert "Read this first" in page
    assert "http" not in page.replace("http-equiv", "")
