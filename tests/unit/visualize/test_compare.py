"""The comparison in words, as a figure and as a page."""

import dataclasses

import pytest

from factories.comparisons import build_comparison
from phytoscope.errors import ArtifactError
from phytoscope.schema.comparison import MetricDifference, Winner
from phytoscope.schema.table import Task
from phytoscope.visualize.compare import draw_comparison
from phytoscope.visualize.compare_page import render_comparison
from phytoscope.visualize.compare_words import word_counts, word_difference, word_summary
from phytoscope.visualize.style import save_figures


@pytest.fixture(scope="module", params=list(Task))
def comparison(request):
    """Two models, the second one better."""
    return build_comparison(request.param)[0]


def make_metric(name, difference, low, high, winner, unit=""):
    return MetricDifference(name, unit, name != "rmse", 0.5, 0.5 + difference, difference, low, high, winner)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (
            make_metric("accuracy", 0.021, 0.004, 0.039, Winner.second),
            "field <ready> is better by 2.1 points in accuracy (95\u00a0% interval 0.4 to 3.9).",
        ),
        (
            make_metric("rmse", 0.3, 0.1, 0.5, Winner.first, "g"),
            "plain is better by 0.300\u00a0g in RMSE (95\u00a0% interval 0.100 to 0.500).",
        ),
        (
            make_metric("accuracy", 0.003, -0.012, 0.019, Winner.unclear),
            (
                "No difference can be told in accuracy: field <ready> minus plain is 0.3 points (95\u00a0% interval "
                "\u22121.2 to 1.9)."
            ),
        ),
        (
            make_metric("accuracy", 0.1, None, None, Winner.unclear),
            "No difference can be told in accuracy: field <ready> minus plain is 10.0 points, without an interval.",
        ),
        (
            dataclasses.replace(make_metric("r2", 0.1, None, None, Winner.unclear), difference=None),
            "Nothing can be said by R\u00b2: it is not defined for both.",
        ),
    ],
)
def test_differences_have_words(metric, text):
    """Who is better, by how much and how sure, or that nothing can be told."""
    assert word_difference(build_comparison(Task.classification, draws=20)[0], metric) == text


def test_summary_names_the_deciding_metric(comparison):
    """Macro F1 or RMSE, and the winner."""
    deciding = "macro F1" if comparison.task == Task.classification else "RMSE"
    assert word_summary(comparison).startswith("field <ready> is better by ")
    assert f" in {deciding} (" in word_summary(comparison)
    assert f"{comparison.second_wins:,} photographs" in word_counts(comparison)


def test_figure_has_a_line_for_all_and_for_each_place(comparison):
    """Names stand on the axis, and 0 is drawn."""
    figure = draw_comparison(comparison)["comparison_places"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == f"all photographs ({comparison.n})"
    assert any(label.startswith("camera: phone") for label in labels)
    # The place that begins with "group" has no interval, so it has no line.
    assert not any(label.startswith("group") for label in labels)


def test_page_is_complete_and_escaped(comparison, tmp_path):
    """Everything stands in one file, and names of models are text."""
    page = render_comparison(comparison, save_figures(draw_comparison(comparison), tmp_path))
    assert "field &lt;ready&gt;" in page
    assert "<ready>" not in page
    assert "<b>mold" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "data:image/png;base64," in page
    for heading in ("By how much", "Who wins where", "By camera", "Where they say different things"):
        assert heading in page
    assert f"{comparison.n_disagreements:,} photographs" in page


def test_missing_figure_is_said(comparison, tmp_path):
    """A page without its figure is not written."""
    with pytest.raises(ArtifactError, match="cannot be read"):
        render_comparison(comparison, {"comparison_places": tmp_path / "gone.png"})
