"""What is said of a model whose test pictures were spoiled."""

import json

import pytest

from phytoscope.errors import ArtifactError
from phytoscope.schema.robustness import RobustnessReport, RobustnessRow
from phytoscope.schema.table import Task


def make_report(task=Task.classification, unit="", **worst):
    """Blurred pictures at severity 5, 10 of each."""
    clean = RobustnessRow("clean", "as they are", 0, 10, 0.9, 0.9)
    judged = {"accept": 0.2, "review": 0.3, "reject": 0.5, "accepted": 2, "error_accepted": 0.5, **worst}
    return RobustnessReport(task, unit, 10, 5, [clean, RobustnessRow("blur", "blurred", 5, 10, 0.5, 0.9, **judged)])


@pytest.mark.parametrize(
    ("report", "end"),
    [
        (make_report(), "20 % are still accepted, and 50 % of these are wrong."),
        (make_report(Task.regression, "g"), "20 % are still accepted, with a mean absolute error of 0.5 g."),
        (make_report(Task.regression), "20 % are still accepted, with a mean absolute error of 0.5."),
        (make_report(accept=0.0, accepted=0, error_accepted=None), "0 % are still accepted."),
    ],
)
def test_verdicts_at_the_worst(report, end):
    """How many are accepted and how wrong these are; where none is accepted, no error is made up."""
    assert report.describe()[-1].endswith(end)


def test_answers_without_verdicts_are_not_spoken_of():
    """A model that does not judge its answers has only its score."""
    silent = dict.fromkeys(("accept", "review", "reject", "accepted", "error_accepted"))
    assert len(make_report(**silent).describe()) == 1


def test_report_survives_json_and_half_a_one_is_refused():
    """Sentences are written for readers and not read back."""
    report = make_report()
    content = json.loads(json.dumps(report.to_dict()))
    assert RobustnessReport.from_dict(content) == report
    with pytest.raises(ArtifactError, match="not complete"):
        RobustnessReport.from_dict({**content, "rows": [{}]})
