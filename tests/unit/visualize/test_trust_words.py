"""Sentences about belief say neither more nor less than the numbers."""

import dataclasses

import pytest

from factories.beliefs import make_calibration, make_intervals, make_sets, make_verdicts
from phytoscope.schema.metric import MetricValue, count_hundred
from phytoscope.schema.verdict import Reason, Verdict
from phytoscope.visualize.trust_words import (
    REASON_TITLES,
    VERDICT_WORDS,
    word_answerable,
    word_calibration,
    word_coverage,
    word_quantity_range,
    word_range,
    word_verdicts,
)


def plain(sentences):
    return " ".join(sentences).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "0"), (1.0, "100"), (0.924, "92"), (0.9999, "99.9"), (0.997, "99.7"), (0.0004, "0.1"), (0.29, "29")],
)
def test_almost_all_is_not_all(share, expected):
    """99.97 % is never called 100 of 100, and one mistake in a thousand never none."""
    assert count_hundred(share) == expected


def test_unknown_ends_give_no_range():
    """A range with one end is no range."""
    assert word_range(0.88, 0.95) == "between 88 and 95"
    assert word_range(None, 0.95) == ""
    assert word_quantity_range(MetricValue("mae", 1.0, "g", False, None, 2.0)) == ""


def test_every_verdict_and_reason_has_words():
    """A new one is noticed here."""
    assert set(VERDICT_WORDS) == set(Verdict)
    assert set(REASON_TITLES) == set(Reason)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "8.2 points before calibration and 1.7 points after it, on average. By itself the network was too sure"),
        ({"temperature": 0.5}, "not sure enough of itself (temperature 0.500)"),
        ({"temperature": 1.0}, "on average."),
        ({"temperature": None, "kind": "vector"}, "on average."),
        ({"kind": "none", "temperature": None}, "they were not calibrated"),
    ],
)
def test_calibration_in_words(changes, expected):
    """Too sure, too modest, or as it should be."""
    assert expected in word_calibration(dataclasses.replace(make_calibration(), **changes))


@pytest.mark.parametrize(
    ("coverage", "high", "expected"),
    [
        (0.91, 0.94, "The promise was kept."),
        (0.88, 0.93, "within what chance allows"),
        (0.80, 0.86, "do not rely on it"),
        (0.80, None, "do not rely on it"),
    ],
)
def test_promise_is_judged_with_its_range(coverage, high, expected):
    """A share below the promise counts as broken only when its whole range lies below."""
    sets = make_sets()
    overall = dataclasses.replace(sets.rows[0], coverage=coverage, low=None if high is None else 0.7, high=high)
    assert expected in plain(word_coverage(dataclasses.replace(sets, rows=[overall])))


def test_sets_and_intervals_tell_their_size():
    """How many classes a set names, how wide an interval is, and how wide it would be without thought."""
    text = plain(word_coverage(make_sets()))
    assert "A set names 1.3 classes on average; 75 of 100 sets name a single class." in text
    assert "Wanted were" not in text
    text = plain(word_coverage(make_intervals()))
    assert "Wanted were 90" in text
    assert "0.210 g wide on average; of one width for all, 0.440 g would have been enough" in text


def test_intervals_of_one_width_are_not_compared_with_themselves():
    """Where all are equally wide the page says so, and names no second width beside it."""
    text = plain(word_coverage(dataclasses.replace(make_intervals(), kind="constant")))
    assert "0.210 g wide on average; all are made equally wide." in text
    assert "0.440" not in text


def test_a_wrong_number_is_explained():
    """With a tolerance the sentence says from how far off on an answer is wrong."""
    verdicts = dataclasses.replace(make_verdicts(), tolerance=2.0)
    text = plain(word_verdicts(verdicts, unit="g", is_share=True))
    assert "3 of 100 are wrong by more than 2.00 g (between 1 and 4); at most 5 were wanted." in text


def test_promise_without_rows_is_only_told():
    """Where nothing was measured nothing is judged."""
    assert len(word_coverage(dataclasses.replace(make_sets(), rows=[]))) == 1


def test_verdicts_of_classes():
    """Shares, the error among accepted answers with its range, what was wanted, and the error without verdicts."""
    text = plain(word_verdicts(make_verdicts(), unit="", is_share=True))
    assert "accepts 81, asks a person to look at 12 and rejects 7" in text
    assert "3 of 100 are wrong (between 1 and 4); at most 5 were wanted." in text
    assert "8 of 100 would be wrong" in text


@pytest.mark.parametrize(("low", "expected"), [(0.06, "more than it should be"), (0.01, "chance alone could explain")])
def test_missed_wishes_are_told(low, expected):
    """More errors than wanted are called so, unless chance explains them."""
    verdicts = make_verdicts(among=0.09, low=low, high=0.15)
    assert expected in plain(word_verdicts(verdicts, unit="", is_share=True))


def test_verdicts_of_numbers_speak_in_their_unit():
    """Without a tolerance no answer is wrong, only off."""
    text = plain(word_verdicts(make_verdicts(wanted=None), unit="g", is_share=False))
    assert "off by 0.0300 g on average (between 0.0100 and 0.0450 g)" in text
    assert "wrong" not in text


def test_unknown_truth_gives_verdicts_only():
    """Photographs without truth have shares, never errors; nothing judged gives no sentence."""
    assert len(word_verdicts(make_verdicts(overall=None), unit="", is_share=True)) == 1
    assert word_verdicts(dataclasses.replace(make_verdicts(), shares={}), unit="", is_share=True) == []


def test_answerable_photographs_are_counted_or_none():
    """Rising error rates, and plain words where nothing can be answered."""
    verdicts = dataclasses.replace(make_verdicts(), answered_at={"0.1": 1.0, "0.01": 0.0, "0.05": 0.5})
    assert word_answerable(verdicts) == [
        "with at most 1 wrong of 100 answered, no photograph can be answered",
        "with at most 5 wrong of 100 answered, 50 of 100 photographs can be answered",
        "with at most 10 wrong of 100 answered, 100 of 100 photographs can be answered",
    ]
