"""Records in a real PostgreSQL server."""

import datetime as dt
import multiprocessing
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from factories.records import make_feedback, make_prediction, make_weight, running_postgres, wait_until
from phytoscope.api.records.database import Database
from phytoscope.api.records.deletion import Deleted, Doomed, delete_records
from phytoscope.api.records.ledger import open_ledger
from phytoscope.api.records.migrate import upgrade_tables
from phytoscope.api.records.reading import Wanted, iterate_records, list_newest
from phytoscope.api.records.recorder import open_recorder
from phytoscope.api.records.stats import tell_stats
from phytoscope.api.records.tables import METADATA, VERSION_TABLE
from phytoscope.errors import RecordNotFoundError, StorageError

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server():
    """A server for the tests of this file."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def empty(server):
    """The server's database without tables."""
    database = Database(server.url)
    with database._begin("") as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    yield database
    database.close()


def count(database):
    return len(list(iterate_records(database, Wanted())))


def test_tables(empty):
    """The revisions make the tables of the code, also from the first one on, beside tables of others."""
    with empty._begin("") as connection:
        connection.execute(text("CREATE TABLE predictions (id integer)"))
        upgrade_tables(connection, empty.place, "0001")
    empty.prepare()
    with empty.reading() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    assert [(what, table.name) for what, table in found] == [("remove_table", "predictions")]


def test_answers_feedback_and_deletion(server, empty):
    """What is written is read again, joined and counted, and deleted."""
    recorder = open_recorder(server.url, images=None, capacity=1000, retention_days=None)
    east = dt.timezone(dt.timedelta(hours=2))
    at = dt.datetime(2026, 5, 1, 1, 30, tzinfo=east)
    recorder.note([make_prediction(1, at=at, label="a\x00b"), make_prediction(1), make_weight(2)])
    recorder.add_feedback(make_feedback(1, about=2, value=11.0, target="weight"))
    with pytest.raises(RecordNotFoundError):
        recorder.add_feedback(make_feedback(2, about=9, label="rust"))
    recorder.close(20)
    assert recorder.status().error is None
    newest, oldest = list_newest(empty, Wanted(), 10)
    assert (oldest.prediction["at"], oldest.prediction["label"]) == (at, "ab")
    assert newest.newest[None]["value"] == 11.0
    assert [row.mae for row in tell_stats(empty, Wanted()) if row.verdict == "all"] == [1.0]
    assert delete_records(empty, None, Doomed(everything=True)) == Deleted(2, 1, 0)
    assert count(empty) == 0


def test_row_that_is_refused(server, empty):
    """One answer that the server refuses does not take the others with it."""
    recorder = open_recorder(server.url, images=None, capacity=1000, retention_days=None)
    recorder.note([make_prediction(1), make_prediction(2, verdict="x" * 100), make_prediction(3)])
    recorder.close(20)
    assert (recorder.status().written, recorder.status().lost) == (2, 1)
    assert count(empty) == 2


def write_some(url, first):
    recorder = open_recorder(url, images=None, capacity=10_000, retention_days=None)
    recorder.note([make_prediction(number) for number in range(first, first + 300)])
    recorder.close(60)
    sys.exit(0 if recorder.status().written == 300 else 1)


def test_workers_that_start_together(server, empty):
    """Several workers make the tables once and write side by side."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_some, args=(server.url, 1000 * place)) for place in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert count(empty) == 600


def test_locked_table(server, empty, monkeypatch):
    """A table that another program holds is waited for."""
    monkeypatch.setitem(sys.modules["phytoscope.api.records.database"]._PATIENCE, "options", "-c lock_timeout=300")
    recorder = open_recorder(server.url, images=None, capacity=100, retention_days=None)
    with empty._begin("") as connection:
        connection.execute(text("LOCK TABLE phytoscope_predictions"))
        recorder.note([make_prediction(1)])
        wait_until(lambda: recorder.status().error is not None)
        assert "lock timeout" in recorder.status().error
    wait_until(lambda: recorder.status().written == 1)
    recorder.close(5)
    assert recorder.status().error is None


def test_server_that_goes_and_comes_back(server, empty):
    """While the server is away answers wait, and the number of those that find no room is told."""
    recorder = open_recorder(server.url, images=None, capacity=20, retention_days=None)
    recorder.note([make_prediction(0)])
    wait_until(lambda: recorder.status().written == 1)
    server.stop()
    try:
        recorder.note([make_prediction(number) for number in range(1, 31)])
        wait_until(lambda: recorder.status().error is not None)
        status = recorder.status()
        assert (status.written, status.lost, status.waiting) == (1, 10, 20)
        with pytest.raises(StorageError, match="postgresql"):
            recorder.add_feedback(make_feedback(about=0, label="rust"))
        late = open_ledger(server.url, None)
    finally:
        server.start()
    wait_until(lambda: recorder.status().written == 21)
    assert recorder.status().error is None
    late.add_predictions([make_prediction(100)])
    late.close()
    recorder.close(10)
    assert count(empty) == 22


def test_password_stays_secret(server):
    """What is told of a server that refuses holds no password."""
    database = Database(server.url.replace("tester@", "nobody:secret@").replace("/postgres", "/none"))
    with pytest.raises(StorageError) as caught:
        database.prepare()
    assert "secret" not in str(caught.value)
    assert "does not exist" in str(caught.value)
