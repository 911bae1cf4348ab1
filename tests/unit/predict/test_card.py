"""The model card says what was measured, and nothing else."""

import dataclasses

import pytest

from factories.beliefs import build_full_classification, build_full_regression
from factories.trust import make_trust
from phytoscope.predict.card import write_card
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.table import Task
from phytoscope.trust.photo import PhotoLimits
from phytoscope.trust.thresholds import NOTHING_ACCEPTED


def word(place, predictor, report=None, trust=None) -> str:
    """The text of a card."""
    path = place / "MODEL_CARD.md"
    write_card(path, predictor.description, ["Few leaves."], report=report, trust=trust)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def report(predictor, tmp_path):
    """A report with everything filled in, for the task of the model."""
    if predictor.description.task is Task.regression:
        return build_full_regression(tmp_path / "x.png", tolerance=0.1).report
    return build_full_classification(tmp_path / "x.png").report


def test_home_and_elsewhere_in_a_sentence(predictor, report, tmp_path) -> None:
    """How good at home, on each further set, and how much of it is accepted; nobody has to look for it."""
    text = word(tmp_path, predictor, report, make_trust(predictor.description.task))
    if predictor.description.task is Task.classification:
        assert (
            "On `orchard` 12 of 100 are named rightly (95 % range 7 to 18); it accepts 8 of 100 of its answers." in text
        )
        assert "Of `not_a_leaf`, whose truth is not known, it rejects 98 of 100 and accepts 2." in text
        assert "| `accuracy` | " in text
        assert "| 0.12 (0.07 to 0.18) | - |" in text
        assert "| accepted | 81 % | 8 % | 2 % |" in text
        assert "| surest that could be answered with 10 % wrong | 100 % | 100 % | - |" in text
    else:
        assert "On `greenhouse B` it is off by 0.42 g on average (95 % range 0.31 to 0.55)" in text
        assert "| 0.42 g (0.31 to 0.55) |" in text


def test_ranges_stand_beside_the_metrics(predictor, report, tmp_path) -> None:
    """Each metric of test has its range, and what it was drawn from is said."""
    test = report.splits["test"]
    low, high = 0.25, 0.75
    metrics = [MetricValue("accuracy", 0.5, "", True, low, high)]
    report = dataclasses.replace(report, splits={"test": dataclasses.replace(test, metrics=metrics)})
    text = word(tmp_path, predictor, report)
    assert "| `test/accuracy` | 0.5 | 0.25 to 0.75 |" in text
    assert "| `test/mape` | not defined | - |" in text
    assert f"{test.n} images of {test.n_groups} groups" in text


def test_promises_and_what_was_held(predictor, report, tmp_path) -> None:
    """Coverage, calibration and error among accepted answers, each promised and measured."""
    text = word(tmp_path, predictor, report, make_trust(predictor.description.task, least=0.83, widest=0.4))
    if predictor.description.task is Task.classification:
        assert "whose calibrated probability is at least 0.83" in text
        assert "hold the true class for 90 of 100 new leaves or plants; on test images they held it for 92" in text
        assert "Probabilities are off by 1.7 points on average (8.2 before calibration, temperature)." in text
    else:
        assert "whose interval is at most 0.4 g wide" in text
        assert (
            "hold the true value for 83 of 100 new leaves or plants; on test images they held it for 86 (80 to 91)"
            in text
        )
    assert "Of its accepted answers 3 of 100 are wrong (1 to 4); 5 were wanted." in text
    assert "its shorter side is below 0 px" in text


def test_only_a_model_that_judges_stops_always_answering(predictor, report, tmp_path) -> None:
    """The old warning is there exactly where no trust is."""
    always = "It always answers, also for a picture that shows no plant."
    assert always in word(tmp_path, predictor, report)
    text = word(tmp_path, predictor, report, make_trust(predictor.description.task))
    assert always not in text
    assert "Few leaves." in text


def test_unknown_field_is_said(predictor, report, tmp_path) -> None:
    """Without a further set the card says that nothing is known of the field."""
    sentence = "Nothing was measured on photographs from other places"
    assert sentence not in word(tmp_path, predictor, report)
    text = word(tmp_path, predictor, dataclasses.replace(report, external=[]))
    assert sentence in text
    assert "At home and elsewhere" not in text


def test_nothing_accepted_is_said(classifier, tmp_path) -> None:
    """A limit that no probability reaches is no number to print."""
    text = word(tmp_path, classifier, trust=make_trust(Task.classification, least=NOTHING_ACCEPTED))
    assert "No answer is sure enough to be accepted." in text
    assert "at least 2" not in text


def test_card_of_a_report_without_any_extra(predictor, tmp_path) -> None:
    """A report of an older version, or of cross-validation without test, gives a card without empty headings."""
    text = word(tmp_path, predictor)
    assert "| `test/accuracy` | 0.5 |" in text
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Intended use", "## Measured on images the model never saw", "## Know before use"]


def test_what_was_not_measured_elsewhere_is_not_claimed(classifier, tmp_path) -> None:
    """A further set whose answers were not judged has no shares, and one without labels says that nothing is known."""
    report = build_full_classification(tmp_path / "x.png").report
    orchard, strange = (dataclasses.replace(further, trust=None) for further in report.external)
    text = word(tmp_path, classifier, dataclasses.replace(report, external=[orchard, strange]))
    assert "On `orchard` 12 of 100 are named rightly (95 % range 7 to 18)." in text
    assert "Of `not_a_leaf` nothing could be measured." in text
    assert "| accepted | 81 % | - | - |" in text


def test_shares_without_right_answers_give_no_errors(classifier, tmp_path) -> None:
    """Where no truth is known anywhere, the rows of errors are left out and the verdicts stay."""
    report = build_full_classification(tmp_path / "x.png").report
    verdicts = dataclasses.replace(report.trust.verdicts, answered_at={}, errors={})
    trust = dataclasses.replace(report.trust, verdicts=verdicts)
    external = [dataclasses.replace(further, trust=trust) for further in report.external]
    text = word(tmp_path, classifier, dataclasses.replace(report, trust=trust, external=external))
    assert "| accepted | 81 % | 81 % | 81 % |" in text
    assert "wrong among the accepted" not in text


def test_promise_that_was_not_measured_stands_alone(classifier, tmp_path) -> None:
    """Sets are promised; without test images nothing is said of what they held."""
    report = build_full_classification(tmp_path / "x.png").report
    sets = dataclasses.replace(report.trust.sets, rows=[])
    report = dataclasses.replace(report, trust=dataclasses.replace(report.trust, sets=sets))
    text = word(tmp_path, classifier, report, make_trust(Task.classification))
    assert "hold the true class for 90 of 100 new leaves or plants." in text
    assert "on test images they held it" not in text


def test_any_photograph_is_good_enough_without_limits(classifier, tmp_path) -> None:
    """A model that was given no limits of photographs names none."""
    trust = dataclasses.replace(make_trust(Task.classification), photo=PhotoLimits())
    assert "A photograph is not good enough" not in word(tmp_path, classifier, trust=trust)
