"""Answers are found again, joined with what turned out to be true."""

import datetime as dt

import pytest

from factories.records import BEGAN, make_prediction
from phytoscope.api.records.reading import Wanted, find_record, iterate_records, list_newest
from phytoscope.errors import RecordNotFoundError, StorageError


def numbers(found):
    return [int(judged.prediction["id"], 16) for judged in found]


def test_newest_first(told):
    """The list begins with the newest answer, each with its feedback."""
    found = list_newest(told.database, Wanted(), 7)
    assert numbers(found) == [7, 6, 5, 4, 3, 2, 1]
    assert [len(judged.feedback) for judged in found] == [1, 2, 0, 1, 0, 1, 1]
    assert found[0].prediction["at"] == BEGAN + dt.timedelta(minutes=7)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (Wanted(model="other leaves"), [5]),
        (Wanted(model="fedcba9876543210"), [5]),
        (Wanted(verdict="review"), [2]),
        (Wanted(since=BEGAN + dt.timedelta(minutes=5)), [5, 6, 7]),
        (Wanted(feedback_only=True), [0, 1, 2, 4, 6, 7]),
        (Wanted(model="leaves", verdict="accept", feedback_only=True), [0, 1, 4]),
    ],
)
def test_choice(told, wanted, expected):
    """Each condition leaves out what does not fulfil it, and all of them count together."""
    assert numbers(iterate_records(told.database, wanted)) == expected


def test_newest_feedback_counts(told):
    """Who changes his mind is believed the last time; a comment alone is no truth."""
    found = list(iterate_records(told.database, Wanted()))
    assert found[0].newest[None]["label"] == "rust"
    assert found[4].newest == {}
    assert {target: entry["value"] for target, entry in found[6].newest.items()} == {None: 11.0, "leaves": 7.0}
    assert found[7].newest[None]["value"] == 13.0


def test_one_answer_by_the_beginning_of_its_name(told):
    """Six digits suffice where they are of one answer alone."""
    told.add_predictions([make_prediction(id="abcdef" + "0" * 26)])
    assert find_record(told.database, "abcdef").prediction["label"] == "rust"
    assert find_record(told.database, f"{3:032x}").prediction["verdict"] is None
    with pytest.raises(RecordNotFoundError, match="several answers begin with this"):
        find_record(told.database, "000000")
    for name in ("abcde", "123456", "abc%", "abcdef_%"):
        with pytest.raises(RecordNotFoundError, match="no answer of this name is kept"):
            find_record(told.database, name)


def test_database_that_went(told, tmp_path):
    """A file that goes while it is read is told."""
    (tmp_path / "records.db").unlink()
    with pytest.raises(StorageError, match="check that the folder exists"):
        list_newest(told.database, Wanted(), 3)
