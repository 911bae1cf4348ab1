"""The explained answers of a run: which ones, what is said of them, and what happens when it cannot be done."""

import sys

import pandas as pd
import pytest

from factories.colour_net import make_colour_predictor
from factories.prepared_runs import make_prepared
from phytoscope.schema.explanation import ExplanationReport
from phytoscope.schema.table import Task
from phytoscope.steps.explain import choose_answers, explain_run


def test_answers_are_explained(tmp_path) -> None:
    """Each chosen image has a row, and the figure a pair of pictures for it."""
    made = make_prepared(tmp_path, make_colour_predictor("lesion"), words=["evaluate.explanations=5"])
    found = explain_run(*made.parts)
    assert found.report.n == 5
    assert len(found.figure.axes) == 10
    assert made.said == []
    sick = [row for row in found.report.rows if row.explained == "sick"]
    assert sick
    assert all(row.is_right and row.test.better_than_random and row.outside_plant < 0.1 for row in sick)
    assert found.report.share_outside == 0
    assert found.report.warnings == []
    assert ExplanationReport.from_dict(found.report.to_dict()) == found.report


def test_looking_at_the_background_is_a_warning(tmp_path) -> None:
    """A model of the paper is found out across images."""
    made = make_prepared(tmp_path, make_colour_predictor("background"))
    report = explain_run(*made.parts).report
    assert report.n == 12
    assert report.share_outside == 1
    assert "The model looks at the background in 100 % of the 12 explained images" in report.warnings[0]


def test_numbers_are_explained(tmp_path) -> None:
    """Words carry the user's unit; the larger half of the errors counts as mistakes."""
    made = make_prepared(tmp_path, make_colour_predictor("lesion", Task.regression))
    report = explain_run(*made.parts).report
    assert sum(row.is_right for row in report.rows) == 6
    assert all(row.answer.endswith("mm") and row.truth.endswith("mm") for row in report.rows)


def test_missing_extra_is_a_remark(tmp_path, monkeypatch) -> None:
    """An evaluation does not fail because heat maps cannot be drawn."""
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    made = make_prepared(tmp_path, make_colour_predictor("lesion"))
    assert explain_run(*made.parts) is None
    assert "no explanations" in made.said[0]
    assert "phytoscope[explain]" in made.said[0]


def test_nothing_is_explained_when_nothing_is_wanted(tmp_path) -> None:
    """0 leaves explanations out."""
    made = make_prepared(tmp_path, make_colour_predictor("lesion"), words=["evaluate.explanations=0"])
    assert explain_run(*made.parts) is None
    assert made.said == []


def test_mistakes_come_first_the_most_confident_before_others() -> None:
    """Half are mistakes, one a plant before the second of a plant; hits fill the rest, or all of it."""
    table = pd.DataFrame(
        {
            "sample_id": [f"s{row}" for row in range(8)],
            "group_id": ["p", "p", "q", "r", "t", "u", "v", "w"],
            "label": ["a", "a", "a", "b", "b", "a", "b", "a"],
            "prediction": ["b", "b", "b", "b", "b", "a", "b", "a"],
            "probability": [0.99, 0.98, 0.6, 0.7, 0.8, 0.9, 0.5, 0.95],
        }
    )
    chosen = choose_answers(table, Task.classification, 4, seed=0)
    assert chosen["sample_id"].tolist()[:2] == ["s0", "s2"]
    assert chosen["is_right"].tolist() == [False, False, True, True]
    assert chosen["probability"].iloc[2] >= chosen["probability"].iloc[3]
    assert set(chosen["label"].iloc[2:]) == {"a", "b"}
    assert choose_answers(table, Task.classification, 7, seed=0)["is_right"].sum() == 4
    assert len(choose_answers(table[:5], Task.classification, 4, seed=0)) == 4
    assert len(choose_answers(table, Task.classification, 50, seed=0)) == len(table)
    right = table.assign(prediction=table["label"])
    assert choose_answers(right, Task.classification, 4, seed=0)["is_right"].tolist() == [True] * 4
    numbers = table.assign(target=1.0, prediction=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    chosen = choose_answers(numbers, Task.regression, 4, seed=0)
    assert chosen["sample_id"].tolist()[:2] == ["s7", "s6"]
    assert chosen["prediction"].iloc[2:].max() <= 1.4


@pytest.mark.parametrize("content", [{}, {"method": "hires_cam", "rows": [{}], "warnings": []}])
def test_incomplete_report_is_refused(content) -> None:
    """A report of another form is an error that says what to do."""
    from phytoscope.errors import ArtifactError

    with pytest.raises(ArtifactError, match="evaluate the run again"):
        ExplanationReport.from_dict(content)
