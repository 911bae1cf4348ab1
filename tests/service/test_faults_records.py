"""Whatever happens to the records, photographs are answered, and each answer is either kept or counted as lost."""

import contextlib
import resource
import sqlite3

import psutil
import pytest
import requests

from factories.hostile_files import encode_photo
from factories.packages import make_package
from factories.process_trees import wait_until
from factories.service_load import under_load
from factories.services import running_service

_FEW = 40


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package."""
    folder = tmp_path_factory.mktemp("records") / "package"
    make_package(folder)
    return folder


@pytest.fixture
def running(package, tmp_path):
    """Starts a service whose records lie in a file; gives both."""
    file = tmp_path / "kept" / "records.db"
    with running_service(
        package, "serve.runtime=torch", f"serve.records_url=sqlite:///{file}", "serve.records_buffer=50"
    ) as service:
        yield service, file


def _read_levels(service):
    """Answers of the service that were kept, that were lost, and that wait."""
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    levels = dict(line.split(" ") for line in text.splitlines() if line.startswith("phytoscope_records_"))
    return [int(float(levels[f"phytoscope_records_{name}"])) for name in ("written", "lost", "waiting")]


def _settle(service, count):
    """Waits until each of so many answers was kept or lost; gives both numbers."""

    def all_told():
        written, lost, waiting = _read_levels(service)
        assert written + lost + waiting <= count
        return (written, lost) if written + lost == count else None

    return wait_until(all_told, seconds=60, every_s=0.2)


def _count_rows(file):
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT COUNT(*) FROM phytoscope_predictions").fetchone()[0]


def _is_answered(load, more=_FEW):
    load.wait_for_more(more)
    assert load.statuses() == {200}


@pytest.mark.slow
def test_every_answer_is_kept_while_all_is_well(running):
    """After some load: as many rows as answers, none lost."""
    service, file = running
    with under_load(service.url, clients=4) as load:
        _is_answered(load)
    written, lost = _settle(service, len(load.good()))
    assert lost == 0
    assert _count_rows(file) == written == len(load.good())


def test_a_locked_database_costs_records_and_no_answers(running):
    """Another program holds the database: answers go on, what does not fit into the buffer is counted as lost."""
    service, file = running
    with under_load(service.url, clients=4) as load:
        _is_answered(load, 5)
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            _is_answered(load, 200)
            wait_until(lambda: _read_levels(service)[1] > 0)
            holder.execute("ROLLBACK")
        _is_answered(load)
    written, lost = _settle(service, len(load.good()))
    assert lost > 0
    assert _count_rows(file) == written
    assert "lost" in service.log()


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["file", "folder"])
def test_a_database_that_went_is_noticed(running, taken):
    """The file, or its whole folder, is deleted under load: nothing is written into what nobody can open any more."""
    service, file = running
    with under_load(service.url, clients=4) as load:
        _is_answered(load, 5)
        moved = file.parent.with_name("elsewhere")
        if taken == "folder":
            file.parent.rename(moved)
        else:
            moved.mkdir()
            for part in file.parent.iterdir():
                part.rename(moved / part.name)
        _is_answered(load, 100)
    # Without a place to write, what has room in the buffer waits.
    file.parent.mkdir(exist_ok=True)
    written, _ = _settle(service, len(load.good()))
    kept = _count_rows(moved / file.name) + (_count_rows(file) if file.exists() else 0)
    assert kept == written


@pytest.mark.slow
def test_a_full_disk_costs_records_and_no_answers(running):
    """No file may grow any more: answers go on, losses are counted and told; then there is room again."""
    service, file = running
    with under_load(service.url, clients=4) as load:
        _is_answered(load, 5)
        process = psutil.Process(service.process.pid)
        owners = [process, *process.children(recursive=True)]
        before = [owner.rlimit(psutil.RLIMIT_FSIZE) for owner in owners]
        largest = max(part.stat().st_size for part in file.parent.iterdir())
        for owner in owners:
            owner.rlimit(psutil.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        wait_until(lambda: _read_levels(service)[1] > 0)
        _is_answered(load)
        for owner, limits in zip(owners, before, strict=True):
            owner.rlimit(psutil.RLIMIT_FSIZE, limits)
        kept = _read_levels(service)[0]
        wait_until(lambda: _read_levels(service)[0] > kept)
    written, lost = _settle(service, len(load.good()))
    assert lost > 0
    assert _count_rows(file) == written


@pytest.mark.slow
def test_a_database_that_cannot_be_written_costs_records_and_no_answers(running):
    """Every insert fails: photographs are answered, feedback is refused with 503, readyz tells why."""
    service, file = running
    with under_load(service.url, clients=2) as load:
        _is_answered(load, 5)
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection:
            connection.execute(
                "CREATE TRIGGER closed BEFORE INSERT ON phytoscope_predictions BEGIN SELECT RAISE(ABORT, 'closed'); END"
            )
            connection.commit()
        wait_until(lambda: _read_levels(service)[1] > 0)
        _is_answered(load)
        told = requests.get(f"{service.url}/readyz", timeout=30)
        assert told.status_code == 200
        assert told.json()["records"]["lost"] > 0
    assert "lost" in service.log()


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_told_before_anybody_asks(package, tmp_path):
    """Records in a folder that is a file: photographs are answered, losses counted, readyz says so."""
    (tmp_path / "kept").write_text("a file")
    url = f"serve.records_url=sqlite:///{tmp_path / 'kept' / 'records.db'}"
    with running_service(package, "serve.runtime=torch", url, "serve.records_buffer=1") as service:
        for _ in range(3):
            assert service.ask(encode_photo(0), "image/jpeg").status_code == 200
        # One finds room in the buffer and waits, the others are lost.
        assert wait_until(lambda: _read_levels(service)[1] == 2)
        assert wait_until(lambda: not requests.get(f"{service.url}/readyz", timeout=30).json()["records"]["works"])
