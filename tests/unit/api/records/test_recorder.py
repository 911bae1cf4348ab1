"""The recorder keeps answers without making anybody wait, and counts what it cannot keep."""

import datetime as dt
import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from loguru import logger
from sqlalchemy.exc import TimeoutError as SqlTimeoutError

import factories.disk_trouble
from factories.disk_trouble import CAPACITY
from factories.records import make_feedback, make_prediction, wait_until
from phytoscope.api.records import database as database_module
from phytoscope.api.records import recorder as recorder_module
from phytoscope.api.records.ledger import open_ledger
from phytoscope.api.records.recorder import open_recorder
from phytoscope.errors import ArtifactError, ConfigError, RecordNotFoundError, StorageError

TESTS = Path(factories.disk_trouble.__file__).parents[1]


def url_of(path):
    return f"sqlite:///{path}"


@pytest.fixture
def started(tmp_path):
    """A function that starts a recorder on `records.db`, which is stopped after the test."""
    running = []

    def start(**changes):
        known = {"images": None, "capacity": 1000, "retention_days": None} | changes
        running.append(open_recorder(url_of(tmp_path / "records.db"), **known))
        return running[-1]

    yield start
    for recorder in running:
        recorder.close(5)


@pytest.fixture
def said():
    """Lines of the log."""
    lines = []
    sink = logger.add(lambda text: lines.append(str(text)), format="{message}", level="WARNING")
    yield lines
    logger.remove(sink)


def read_rows(path, what="count(*)", table="phytoscope_predictions"):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT {what} FROM {table}").fetchall()  # noqa: S608 (of this file)
    finally:
        connection.close()


def test_answers_are_written(started, tmp_path):
    """Each field stands in its column, with the time in UTC."""
    recorder = started()
    east = dt.timezone(dt.timedelta(hours=2))
    at = dt.datetime(2026, 5, 1, 1, 30, tzinfo=east)
    recorder.note([make_prediction(7, at=at, reasons=("blurred", "unsure"), label="a\x00b")])
    wait_until(lambda: recorder.status().written == 1)
    row = read_rows(tmp_path / "records.db", "id, at, reasons, label, probability, value, image_sha256")
    assert row == [(f"{7:032x}", "2026-04-30 23:30:00.000000", "blurred unsure", "ab", 0.9, None, f"{7:064x}")]


def test_written_ahead_of_the_file(started, tmp_path):
    """The database is written ahead, so that readers never stop the writer, and nobody else may read it."""
    started()
    assert read_rows(tmp_path / "records.db", "*", "pragma_journal_mode") == [("wal",)]
    assert (tmp_path / "records.db").stat().st_mode & 0o077 == 0


def test_close_writes_what_waits(started, tmp_path):
    """What was taken before the end is written at the end, and what comes later is lost."""
    recorder = started()
    recorder.note([make_prediction(number) for number in range(600)])
    recorder.close(20)
    recorder.note([make_prediction(601)])
    status = recorder.status()
    assert (status.written, status.lost, status.waiting) == (600, 1, 0)
    assert read_rows(tmp_path / "records.db") == [(600,)]


def test_the_same_answer_twice_is_one(started, tmp_path):
    """Writing again after a broken transaction changes nothing."""
    recorder = started()
    recorder.note([make_prediction(1), make_prediction(1)])
    recorder.note([make_prediction(1)])
    wait_until(lambda: recorder.status().waiting == 0)
    assert read_rows(tmp_path / "records.db") == [(1,)]


def test_a_row_that_is_refused_is_lost_alone(started, tmp_path, said):
    """One answer that the database refuses does not take the others with it."""
    recorder = started()
    recorder.note([make_prediction(1), make_prediction(2, request_id=None), make_prediction(3)])
    wait_until(lambda: recorder.status().waiting == 0)
    status = recorder.status()
    assert (status.written, status.lost, status.error) == (2, 1, None)
    assert read_rows(tmp_path / "records.db") == [(2,)]
    assert any("one answer cannot be kept" in line for line in said)


def test_locked_database_stops_nobody(started, tmp_path, monkeypatch, said):
    """While another program holds the database answers wait, further ones are lost and told, and then all is well."""
    monkeypatch.setattr(recorder_module, "_QUIET_S", 0.1)
    monkeypatch.setattr(recorder_module, "_FEEDBACK_WAIT_S", 0.5)
    monkeypatch.setattr(database_module, "BUSY_S", 0.3)
    recorder = started(capacity=50)
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    for number in range(70):
        recorder.note([make_prediction(number)])
    assert time.monotonic() - began < 1.0
    assert recorder.status().lost == 20
    wait_until(lambda: recorder.status().error is not None)
    assert "another program has held it for more than 5 s" in recorder.status().error
    wait_until(lambda: any("20 answers lost so far, 50 wait to be written" in line for line in said))
    with pytest.raises(StorageError, match=r"is not written yet \(the records in .* another program"):
        recorder.add_feedback(make_feedback(about=1, label="rust"))
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: recorder.status().waiting == 0)
    status = recorder.status()
    assert (status.written, status.lost, status.error) == (50, 20, None)


def test_deleted_file_is_noticed(started, tmp_path):
    """What would go into a file without a name is written into a new one."""
    recorder = started()
    recorder.note([make_prediction(1)])
    wait_until(lambda: recorder.status().written == 1)
    for path in tmp_path.iterdir():
        path.unlink()
    recorder.note([make_prediction(2)])
    wait_until(lambda: recorder.status().written == 2)
    assert read_rows(tmp_path / "records.db", "id") == [(f"{2:032x}",)]
    recorder.add_feedback(make_feedback(about=2, label="rust"))
    with pytest.raises(RecordNotFoundError):
        recorder.add_feedback(make_feedback(about=1, label="rust"))


def test_replaced_file_is_noticed(started, tmp_path):
    """A copy that takes the place of the file is written to."""
    recorder = started()
    recorder.note([make_prediction(1)])
    wait_until(lambda: recorder.status().written == 1)
    source = sqlite3.connect(tmp_path / "records.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    source.backup(copy)
    source.close()
    copy.close()
    (tmp_path / "copy.db").replace(tmp_path / "records.db")
    with pytest.raises(StorageError, match="moved, replaced or deleted"):
        recorder.add_feedback(make_feedback(about=1, label="rust"))
    recorder.note([make_prediction(2)])
    wait_until(lambda: recorder.status().written == 2)
    assert read_rows(tmp_path / "records.db") == [(2,)]


def test_removed_folder_is_waited_for(tmp_path):
    """A folder that is gone, such as a disk that was taken out, is not made anew, but used when it is back."""
    folder = tmp_path / "disk"
    recorder = open_recorder(url_of(folder / "records.db"), images=None, capacity=10, retention_days=None)
    shutil.rmtree(folder)
    recorder.note([make_prediction(number) for number in range(15)])
    wait_until(lambda: recorder.status().error is not None)
    assert not folder.exists()
    assert (recorder.status().waiting, recorder.status().lost) == (10, 5)
    folder.mkdir()
    wait_until(lambda: recorder.status().written == 10)
    recorder.close(5)
    assert read_rows(folder / "records.db") == [(10,)]


def test_what_waits_at_the_end_is_lost(tmp_path, said):
    """What cannot be written until the end is counted and told."""
    folder = tmp_path / "disk"
    recorder = open_recorder(url_of(folder / "records.db"), images=None, capacity=10, retention_days=None)
    shutil.rmtree(folder)
    recorder.note([make_prediction(1), make_prediction(2)])
    wait_until(lambda: recorder.status().error is not None)
    recorder.close(0.2)
    status = recorder.status()
    assert (status.written, status.lost, status.waiting) == (0, 2, 0)
    assert any("2 answers lost so far" in line for line in said)


def test_unreachable_at_the_start(tmp_path, said):
    """A database that is not there yet does not keep the service from starting."""
    (tmp_path / "disk").write_text("no folder", encoding="utf-8")
    recorder = open_recorder(url_of(tmp_path / "disk" / "records.db"), images=None, capacity=10, retention_days=None)
    assert any("Answers are given all the same" in line for line in said)
    recorder.note([make_prediction(1)])
    (tmp_path / "disk").unlink()
    (tmp_path / "disk").mkdir()
    wait_until(lambda: recorder.status().written == 1)
    recorder.close(5)


def run_trouble(kind, folder, *before):
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [*before, sys.executable, "-m", "factories.disk_trouble", kind, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_trouble(steps, words, before=10):
    calm, trouble, after, end = steps
    assert (calm["written"], calm["lost"], calm["error"]) == (10, 0, None)
    assert words in trouble["error"]
    assert trouble["waiting"] + trouble["lost"] + trouble["written"] == 200 + before
    assert trouble["waiting"] <= CAPACITY
    assert trouble["lost"] > 0
    assert after["error"] is None
    assert after["written"] + after["lost"] == 200 + before
    assert after["lost"] == trouble["lost"]
    assert end == after


def test_full_disk(tmp_path):
    """On a disk that is really full answers wait or are counted as lost, and are written when there is room again."""
    mount = f"mount -t tmpfs -o size=600k tmpfs {tmp_path}"
    alone = [shutil.which("unshare") or "false", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*alone, mount], check=False).returncode != 0:
        pytest.skip("this computer does not let a test mount a small disk of its own")
    before = [*alone, f'{mount} && exec "$@"', "sh"]
    check_trouble(run_trouble("full", tmp_path / "disk", *before), "the disk is full")


def test_file_that_may_not_grow(tmp_path):
    """A limit on the size of files is told as trouble of the disk."""
    check_trouble(run_trouble("limit", tmp_path / "disk"), "the disk cannot be read or written")


def test_read_only_file(tmp_path):
    """A file that may not be written is told, and written when it may."""
    before = []
    if os.geteuid() == 0:
        # Root may write everywhere, unless this is taken away.
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed, and without it root may write everything")
    check_trouble(run_trouble("read-only", tmp_path / "disk", *before), "it is read-only for the service", before=0)


def write_some(path, first, count):
    recorder = open_recorder(url_of(path), images=None, capacity=10_000, retention_days=None)
    for number in range(first, first + count):
        recorder.note([make_prediction(number)])
    recorder.close(60)
    sys.exit(0 if recorder.status().written == count else 1)


def test_several_processes_share_a_file(tmp_path):
    """Workers that start together make the tables once, and all that they write is there."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_some, args=(tmp_path / "records.db", 1000 * n, 300)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert read_rows(tmp_path / "records.db") == [(900,)]


def test_feedback_right_after_the_answer(started, tmp_path):
    """Feedback waits for its answer, which may still be on its way to the database."""
    recorder = started()
    recorder.note([make_prediction(1)])
    recorder.add_feedback(make_feedback(about=1, label="scab", comment="seen\x00 by hand"))
    assert read_rows(tmp_path / "records.db", "label, comment", "phytoscope_feedback") == [("scab", "seen by hand")]


def test_feedback_on_nothing(started):
    """Feedback on an answer that was never given is refused."""
    with pytest.raises(RecordNotFoundError, match=r"no answer 'f+' is kept"):
        started().add_feedback(make_feedback(prediction_id="f" * 32, label="rust"))


def test_many_threads(started, tmp_path):
    """Threads that note at the same time lose nothing."""
    recorder = started(capacity=10_000)

    def note(first):
        for number in range(first, first + 200):
            recorder.note([make_prediction(number)])

    threads = [threading.Thread(target=note, args=(1000 * place,)) for place in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close(20)
    assert recorder.status().written == 1000
    assert read_rows(tmp_path / "records.db") == [(1000,)]


def test_memory_is_bounded_by_bytes_too(started, tmp_path, monkeypatch):
    """Few large answers fill the waiting room like many small ones."""
    monkeypatch.setattr(recorder_module, "_MOST_BYTES", 100_000)
    recorder = started()
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    recorder.note([make_prediction(number, image=b"x" * 40_000) for number in range(5)])
    assert (recorder.status().waiting, recorder.status().lost) == (2, 3)
    other.close()
    wait_until(lambda: recorder.status().written == 2)
    recorder.note([make_prediction(9, image=b"x" * 90_000)])
    wait_until(lambda: recorder.status().written == 3)


def test_old_records_are_deleted_by_themselves(started, tmp_path):
    """With a time of retention old answers go soon after the start."""
    now = dt.datetime.now(dt.UTC)
    first = started()
    first.note([make_prediction(1, at=now - dt.timedelta(days=31)), make_prediction(2, at=now - dt.timedelta(days=29))])
    first.close(10)
    started(retention_days=30.0)
    wait_until(lambda: read_rows(tmp_path / "records.db", "id") == [(f"{2:032x}",)])


def test_what_cannot_be_deleted_keeps_nothing_from_being_written(started, tmp_path, said, monkeypatch):
    """A deletion that fails is told and tried again later; answers are written meanwhile."""
    tries = []

    def fail(*_):
        tries.append(1)
        raise StorageError("no deleting here")

    monkeypatch.setattr("phytoscope.api.records.ledger.Ledger.purge", fail)
    recorder = started(retention_days=30.0)
    wait_until(lambda: any("no deleting here" in line for line in said))
    for number in range(1, 6):
        recorder.note([make_prediction(number)])
        wait_until(lambda number=number: recorder.status().written == number)
    assert recorder.status().error is None
    assert len(tries) == 1


def test_default_place(tmp_path, monkeypatch):
    """Without an address the user's own folder for data is taken."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    open_recorder(None, images=None, capacity=10, retention_days=None).close(5)
    assert (tmp_path / "data" / "phytoscope" / "records.db").is_file()


def test_newer_database_is_refused(started, tmp_path):
    """A database that a newer version made is left alone, with words."""
    started().close(5)
    connection = sqlite3.connect(tmp_path / "records.db")
    connection.execute("UPDATE phytoscope_records_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(ArtifactError, match=r"newer version \(revision '9999', .* up to '0002'\): update phytoscope"):
        started()


def test_wrong_address(tmp_path):
    """An address that cannot be right is told at once."""
    with pytest.raises(ConfigError, match="records are not kept in 'mysql'"):
        open_recorder("mysql://localhost/x", images=None, capacity=1, retention_days=None)


def test_answers_that_are_written_after_the_end_are_not_counted_twice(started, tmp_path, monkeypatch):
    """Whoever does not wait for the disk counts them as lost, whatever becomes of them."""
    recorder, is_writing, may_go_on = started(), threading.Event(), threading.Event()

    def wait(_records):
        is_writing.set()
        may_go_on.wait(30)
        return 0, 0

    monkeypatch.setattr(recorder._ledger, "add_predictions", wait)
    recorder.note([make_prediction(0)])
    assert is_writing.wait(30)
    recorder.close(0.01)
    may_go_on.set()
    recorder._thread.join(30)
    assert (recorder.status().written, recorder.status().lost) == (0, 1)


def test_nothing_to_write_finds_out_whether_the_place_can_be_written(tmp_path):
    """After a fault, a database that works again is noticed before the next answer comes."""
    ledger = open_ledger(url_of(tmp_path / "records.db"), None)
    assert ledger.add_predictions([]) == (0, 0)
    ledger.close()


def test_faults_of_the_library_itself_are_told_without_rows():
    """For example that no connection became free in time."""
    told = r"cannot be used \(TimeoutError\): check the database"
    with pytest.raises(StorageError, match=told), database_module._worded("records.db"):
        raise SqlTimeoutError("INSERT of a secret")
