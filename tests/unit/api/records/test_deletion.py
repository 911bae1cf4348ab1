"""Deleted records are gone: rows, the bytes in the files, feedback and photographs."""

import datetime as dt
import hashlib
import os
import time

import pytest

from factories.images import write_image
from factories.records import BEGAN, make_feedback, make_prediction
from phytoscope.api.records.database import Database
from phytoscope.api.records.deletion import Deleted, Doomed, count_doomed, delete_records
from phytoscope.api.records.reading import Wanted, iterate_records
from phytoscope.errors import ConfigError, StorageError

WRITTEN = "a comment that nobody shall find"


@pytest.fixture
def photos(ledger, tmp_path):
    """Answers 0 to 3; 0 and 1 are about one photograph, 2 about another one, 3 about none that is kept."""
    contents = [write_image(tmp_path / f"{seed}.jpg", seed=seed).read_bytes() for seed in range(2)]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    records = [
        make_prediction(number, image=contents[place], image_sha256=hashes[place], model_name=f"secret model {number}")
        for number, place in enumerate((0, 0, 1))
    ]
    ledger.add_predictions([*records, make_prediction(3)])
    ledger.add_feedback(make_feedback(0, about=0, label="scab", comment=WRITTEN))
    ledger.add_feedback(make_feedback(1, about=2, label="scab"))
    return hashes


def left(ledger):
    return [int(judged.prediction["id"], 16) for judged in iterate_records(ledger.database, Wanted())]


def read_everything(folder):
    return b"".join(path.read_bytes() for path in folder.glob("records.db*"))


def test_one_answer(ledger, photos):
    """One answer and its feedback go; a photograph that another answer is about stays."""
    doomed = Doomed((f"{0:032x}",))
    assert count_doomed(ledger.database, doomed) == 1
    assert delete_records(ledger.database, ledger.images, doomed) == Deleted(1, 1, 0)
    assert left(ledger) == [1, 2, 3]
    assert ledger.images.find(photos[0]) is not None
    assert delete_records(ledger.database, ledger.images, Doomed((f"{1:032x}",))) == Deleted(1, 0, 1)
    assert ledger.images.find(photos[0]) is None


def test_before_a_time(ledger, photos):
    """Older answers go, the one of that very time stays."""
    doomed = Doomed(before=BEGAN + dt.timedelta(minutes=2))
    assert delete_records(ledger.database, ledger.images, doomed) == Deleted(2, 1, 1)
    assert left(ledger) == [2, 3]


@pytest.mark.parametrize("compact", [True, False])
def test_nothing_is_left_in_the_files(ledger, photos, tmp_path, compact):
    """Neither the database nor its log holds a word of what was deleted."""
    assert WRITTEN.encode() in read_everything(tmp_path)
    delete_records(ledger.database, ledger.images, Doomed(everything=True), compact=compact)
    found = read_everything(tmp_path)
    assert left(ledger) == []
    assert WRITTEN.encode() not in found
    assert b"secret model" not in found
    assert not [path for path in (tmp_path / "images").rglob("*") if path.is_file()]


def test_many_answers_go_in_several_steps(ledger):
    """More answers than one step takes go all the same."""
    ledger.add_predictions([make_prediction(number) for number in range(1203)])
    doomed = Doomed(before=BEGAN + dt.timedelta(minutes=1201))
    assert delete_records(ledger.database, None, doomed) == Deleted(1201, 0, 0)
    assert left(ledger) == [1201, 1202]


def test_photographs_of_nobody_go(ledger, photos, tmp_path):
    """A photograph whose answer was never written goes with the next deletion, once it is an hour old."""
    contents = [write_image(tmp_path / f"{seed}.jpg", seed=seed).read_bytes() for seed in (7, 8)]
    old, new = [ledger.images.keep(hashlib.sha256(content).hexdigest(), content) for content in contents]
    os.utime(old, (time.time() - 4000,) * 2)
    os.utime(ledger.images.find(photos[1]), (time.time() - 4000,) * 2)
    assert ledger.purge(BEGAN) == Deleted(0, 0, 1)
    assert (old.exists(), new.exists()) == (False, True)
    assert ledger.images.find(photos[1]) is not None


@pytest.mark.parametrize("doomed", [Doomed(), Doomed(("a",), everything=True), Doomed(("a",), BEGAN)])
def test_one_choice_is_needed(ledger, doomed):
    """Nothing is deleted by a call that does not say what, or says it twice."""
    with pytest.raises(ConfigError, match="in one way"):
        delete_records(ledger.database, None, doomed)


def test_a_reader_keeps_the_log_from_being_emptied(ledger, photos, monkeypatch):
    """While another program reads, what was deleted may still stand in the log, and that is told."""
    monkeypatch.setattr("phytoscope.api.records.database.BUSY_S", 0.2)
    with ledger.database.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM phytoscope_predictions").all()
        with pytest.raises(StorageError, match="deleted ones may still stand in it"):
            delete_records(ledger.database, None, Doomed(everything=True), compact=False)


def test_many_photographs_of_nobody_go_in_several_steps(ledger, photos, tmp_path, monkeypatch):
    """More than one step takes go all the same."""
    monkeypatch.setattr("phytoscope.api.records.deletion._AT_ONCE", 2)
    for seed in (7, 8, 9):
        content = write_image(tmp_path / f"{seed}.jpg", seed=seed).read_bytes()
        os.utime(ledger.images.keep(hashlib.sha256(content).hexdigest(), content), (time.time() - 4000,) * 2)
    assert ledger.purge(BEGAN) == Deleted(0, 0, 3)


def test_server_has_no_log_of_its_own_to_empty():
    """What was deleted there is emptied by the server; nobody is connected to."""
    pytest.importorskip("psycopg")
    database = Database("postgresql+psycopg://me@127.0.0.1:9/records")
    database.forget()
    database.close()
