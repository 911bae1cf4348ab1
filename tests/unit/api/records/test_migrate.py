"""Older databases are brought to the state of this version, once, whoever comes first."""

import multiprocessing
import sqlite3
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from phytoscope.api.records.database import Database
from phytoscope.api.records.ledger import Ledger
from phytoscope.api.records.migrate import read_revision, upgrade_tables
from phytoscope.api.records.reading import Wanted, iterate_records
from phytoscope.api.records.tables import METADATA, VERSION_TABLE
from phytoscope.errors import ArtifactError, StorageError


def open_revision(path, revision):
    """A database as an older version left it."""
    path.touch()
    database = Database(f"sqlite:///{path}")
    with database._begin("IMMEDIATE") as connection:
        upgrade_tables(connection, database.place, revision)
    return database


def list_differences(database):
    with database.reading() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)


def test_revisions_end_at_the_tables_of_the_code(tmp_path):
    """The revisions make exactly the tables, columns and indexes that the code works with."""
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    database.prepare()
    assert list_differences(database) == []


def test_differences_would_be_seen(tmp_path):
    """The comparison with the code is no empty one: the first revision lacks an index."""
    database = open_revision(tmp_path / "records.db", "0001")
    with database._begin("DEFERRED") as connection:
        assert read_revision(connection) == "0001"
        options = {"version_table": VERSION_TABLE}
        [(what, index)] = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    assert (what, index.name) == ("add_index", "ix_phytoscope_predictions_image")


def test_first_revision_is_brought_up_to_date(tmp_path):
    """Rows that the first revision kept are still there afterwards, with all that is new."""
    path = tmp_path / "records.db"
    open_revision(path, "0001").close()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO phytoscope_predictions (id, request_id, at, model_id, model_name, task, label, unit, reasons, "
        "image_sha256, took_ms, answer) VALUES ('a', 'r', '2026-01-01 00:00:00.000000', 'm', 'n', 'classification', "
        "'rust', '', '', 's', 1.0, '{}')"
    )
    connection.commit()
    connection.close()
    database = Database(f"sqlite:///{path}")
    Ledger(database, None).prepare()
    assert list_differences(database) == []
    [kept] = iterate_records(database, Wanted())
    assert (kept.prediction["id"], kept.prediction["label"]) == ("a", "rust")


def prepare(path):
    database = Database(f"sqlite:///{path}")
    database.prepare()
    sys.exit(0)


def test_processes_that_come_together(tmp_path):
    """Several processes that find an old database bring it up to date without a fault."""
    path = tmp_path / "records.db"
    open_revision(path, "0001").close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=prepare, args=(path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert list_differences(attached(path)) == []


def attached(path):
    database = Database(f"sqlite:///{path}")
    database.attach()
    return database


def test_reading_brings_up_to_date_too(tmp_path):
    """A command that only reads can read what an older version kept."""
    path = tmp_path / "records.db"
    open_revision(path, "0001").close()
    assert list(iterate_records(attached(path), Wanted())) == []


def test_reading_where_nothing_is(tmp_path):
    """A command that reads makes no file and no table."""
    with pytest.raises(ArtifactError, match="there are no records in"):
        attached(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE other (id)")
    connection.commit()
    connection.close()
    with pytest.raises(ArtifactError, match="holds no records of phytoscope"):
        attached(tmp_path / "other.db")


def test_file_that_is_no_database(tmp_path):
    """Another file is not touched."""
    path = tmp_path / "records.db"
    path.write_text("my notes\n" * 1000, encoding="utf-8")
    with pytest.raises(StorageError, match="it is not a SQLite database; name another file"):
        attached(path)
    assert path.read_text(encoding="utf-8").startswith("my notes")
