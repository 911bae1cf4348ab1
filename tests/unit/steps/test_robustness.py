"""Robustness measures what it says: the same plants, every kind, and the counts behind each number."""

import numpy as np
import pandas as pd
import pytest
import torch

from factories.colour_net import draw_leaf, make_colour_predictor
from factories.prepared_runs import make_prepared
from phytoscope.schema.artifact import write_json
from phytoscope.schema.robustness import RobustnessReport
from phytoscope.schema.table import Task
from phytoscope.steps.robustness import draw_rows, measure_robustness
from phytoscope.transforms.corrupt import SEVERITIES, Corruption, corrupt
from phytoscope.trust.trust import Trust
from phytoscope.trust.verdict import VerdictLimits


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> RobustnessReport:
    """What is measured of a model of the lesion's colour, with verdicts."""
    predictor = make_colour_predictor("lesion")
    predictor.trust = Trust(Task.classification, limits=VerdictLimits(least_probability=0.8))
    return measure_robustness(*make_prepared(tmp_path_factory.mktemp("run"), predictor).parts)


def test_every_kind_and_severity_is_there(classes) -> None:
    """One row for the pictures as they are, then five for each kind."""
    assert (classes.n, classes.n_groups) == (12, 6)
    assert classes.kinds == [kind.value for kind in Corruption]
    assert [len(classes.of(kind)) for kind in classes.kinds] == [len(SEVERITIES)] * len(Corruption)
    assert (classes.clean.kind, classes.clean.severity, classes.clean.score) == ("clean", 0, 1.0)


def test_numbers_are_those_of_the_pictures(tmp_path) -> None:
    """Accuracy is what results when each picture is spoiled and answered by hand."""
    predictor = make_colour_predictor("lesion")
    made = make_prepared(tmp_path, predictor)
    report = measure_robustness(*made.parts)
    spoiled = np.stack([corrupt(each, Corruption.white_balance, 5, row) for row, each in enumerate(made.pixels)])
    said = predictor.predict_pixels(spoiled).argmax(axis=1)
    table = pd.read_csv(tmp_path / "figures" / "robustness.csv")
    assert len(table) == len(report.rows)
    row = report.of("white_balance")[-1]
    assert table.query("kind == 'white_balance' and severity == 5")["score"].item() == pytest.approx(row.score)
    assert row.score == pytest.approx(np.mean(said == np.arange(12) % 2))
    assert row.n == 12
    assert row.accept is None


def test_network_of_one_colour_breaks_by_light_and_not_by_turning(classes) -> None:
    """Darkness takes the colour it looks for away; a turned camera does not."""
    assert min(row.score for row in classes.of("darker")) < 0.8
    assert min(row.score for row in classes.of("rotation")) > 0.8
    first = classes.find_first_break()
    assert first is not None
    assert first.kind in classes.describe()[0] or first.words in classes.describe()[0]


def test_verdicts_are_counted(classes) -> None:
    """Shares sum to 1, and the error is that of the accepted answers alone."""
    for row in classes.rows:
        assert row.accept + row.review + row.reject == pytest.approx(1)
        assert row.accepted == pytest.approx(row.accept * row.n)
        assert (row.error_accepted is None) == (row.accepted == 0)
        # An answer is either accepted and wrong, or not accepted, or right.
        wrong = 0 if row.error_accepted is None else row.error_accepted * row.accepted
        assert wrong <= round((1 - row.score) * row.n) + 1e-9
    assert "are still accepted" in classes.describe()[1]


def test_report_survives_json(classes) -> None:
    """What is written is what is read."""
    assert RobustnessReport.from_dict(classes.to_dict()) == classes


def test_zoom_is_left_out_for_numbers(tmp_path) -> None:
    """A closer view makes a plant larger than it is, so its number would no longer be the true one."""
    report = measure_robustness(*make_prepared(tmp_path, make_colour_predictor("lesion", Task.regression)).parts)
    assert "zoom" not in report.kinds
    assert "size of the plant" in report.left_out["zoom"]
    assert report.metric == "R2"
    assert report.clean.score > 0.99
    assert all(row.mae is not None for row in report.rows)


def test_broken_answers_have_no_score(tmp_path) -> None:
    """A model that says no numbers leaves empty cells, so that the report can still be written."""
    predictor = make_colour_predictor("lesion", Task.regression)
    parts = make_prepared(tmp_path, predictor).parts
    with torch.no_grad():
        predictor.network.head.bias.fill_(float("nan"))
    report = measure_robustness(*parts)
    assert {row.score for row in report.rows} == {None}
    assert {row.mae for row in report.rows} == {None}
    write_json(tmp_path / "report.json", report.to_dict())


def test_background_is_swapped_only_where_it_is_found(tmp_path) -> None:
    """Pictures without a background leave the row with fewer pictures, compared with just these."""
    made = make_prepared(tmp_path, make_colour_predictor("lesion"))
    made.pixels[:4] = draw_leaf()[0][34:38, 18:22].repeat(16, axis=0).repeat(16, axis=1)
    report = measure_robustness(*made.parts)
    assert {row.n for row in report.of("background")} == {8}
    assert {row.clean_score for row in report.of("background")} == {1.0}
    made.pixels[:] = made.pixels[0]
    report = measure_robustness(*made.parts)
    assert "background" not in report.kinds
    assert "in no picture" in report.left_out["background"]


def test_nothing_is_measured_when_nothing_is_wanted(tmp_path) -> None:
    """0 leaves it out, and so does a table without test rows."""
    predictor = make_colour_predictor("lesion")
    assert measure_robustness(*make_prepared(tmp_path, predictor, words=["evaluate.robustness=0"]).parts) is None
    *parts, table = make_prepared(tmp_path, predictor).parts
    assert measure_robustness(*parts, table.assign(split="val")) is None


def test_rows_are_drawn_by_class_and_plant() -> None:
    """Each class has its turn, each plant its first picture before any plant its second; the seed decides which."""
    table = pd.DataFrame(
        {
            "label": ["a"] * 90 + ["b"] * 10,
            "group_id": [f"a{row // 30}" for row in range(90)] + [f"b{row // 2}" for row in range(10)],
            "target": np.arange(100.0),
        }
    )
    drawn = draw_rows(table, "label", 8, seed=0)
    assert drawn["label"].value_counts().to_dict() == {"a": 4, "b": 4}
    assert drawn.loc[drawn["label"] == "a", "group_id"].nunique() == 3
    assert drawn.loc[drawn["label"] == "b", "group_id"].nunique() == 4
    assert drawn.index.is_monotonic_increasing
    assert drawn.equals(draw_rows(table, "label", 8, seed=0))
    assert not drawn.index.equals(draw_rows(table, "label", 8, seed=1).index)
    assert draw_rows(table, "label", 100, seed=0).equals(table)
    numbers = draw_rows(table, "target", 10, seed=0)["target"] // 20
    assert numbers.value_counts().to_dict() == {0: 2, 1: 2, 2: 2, 3: 2, 4: 2}
