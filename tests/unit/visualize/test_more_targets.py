"""Further targets on the page: one row each in a table, and a plot each under their own name."""

import dataclasses

import pytest

from factories.pages import PageReader
from factories.predictions import add_more_targets, evaluate_drawn, make_history, make_regression, make_rejected
from phytoscope.schema.table import Task
from phytoscope.visualize.figures import draw_figures
from phytoscope.visualize.html import render_report
from phytoscope.visualize.more_targets import list_more_targets
from phytoscope.visualize.style import save_figures
from phytoscope.visualize.words import find_figure_words

NAME = "leaf/area <b>"


@pytest.fixture(scope="module")
def run():
    """An evaluated run with two further targets, one of which is never known in the test split."""
    drawn, train_rows, manifest = make_regression()
    predictions, train_rows = add_more_targets(drawn, train_rows, names=(NAME, "leaves"))
    predictions.loc[predictions["split"] == "test", "target/leaves"] = None
    report = evaluate_drawn(
        predictions,
        train_rows,
        task=Task.regression,
        class_names=[],
        target_name="weight",
        unit="g",
        name="run",
        data_hash="d",
        split_hash="s",
        more_targets={NAME: "cm2", "leaves": ""},
    )
    return report, predictions, manifest


def test_table_has_a_row_for_each(run) -> None:
    """Numbers with their unit, baselines beside them; a dash where nothing is known."""
    table = list_more_targets(run[0].splits["test"])
    assert [row["name"] for row in table["rows"]] == [NAME, "leaves"]
    assert table["heads"][:2] == ["R²", "RMSE"]
    assert table["heads"][-2:] == ["Always the same answer: RMSE", "Green pixels alone: RMSE"]
    assert all(len(row["cells"]) == len(table["heads"]) for row in table["rows"])
    assert table["rows"][0]["cells"][1].endswith("cm2")
    assert table["rows"][1]["n"] == 0
    assert set(table["rows"][1]["cells"]) == {"\u2013"}


def test_nothing_is_shown_without_them(run) -> None:
    """A page of one target has no such table."""
    part = dataclasses.replace(run[0].splits["test"], more_targets=[])
    assert list_more_targets(part) == {}


def test_page_shows_table_and_plots(run, find_leaf, tmp_path) -> None:
    """The plot of a target stands under its name, however that is spelled, in a file with a harmless name."""
    report, predictions, manifest = run
    history = make_history("rmse")
    drawn = draw_figures(report, predictions=predictions, history=history, manifest=manifest, find_image=find_leaf)
    own = {name: figure for name, figure in drawn.items() if "more" in name}
    assert list(own) == ["predicted_vs_actual_more_1"]
    page = render_report(
        report,
        predictions=predictions,
        history=history,
        manifest=manifest,
        rejected=make_rejected(1),
        figures=save_figures(own, tmp_path),
        facts={},
    )
    assert "Predicted against true: leaf/area &lt;b&gt;" in page
    assert any(attrs.get("id") == "more-targets" for _, attrs in PageReader(page).tags)


def test_words_of_unknown_figures() -> None:
    """A figure without words keeps its name; a place that no target has is no target."""
    assert find_figure_words("predicted_vs_actual_more_2", ["a", "b"]).title.endswith(": b")
    for name in ("predicted_vs_actual_more_3", "predicted_vs_actual_more_x", "predicted_vs_actual_more_0"):
        assert find_figure_words(name, ["a", "b"]).title == name.replace("_", " ").capitalize()
