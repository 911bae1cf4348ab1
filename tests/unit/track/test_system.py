"""The load of the machine in the event log."""

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from loguru import logger

from phytoscope.errors import StorageError
from phytoscope.schema.events import EndStatus, Event, EventKind, EventLog, SilentJournal, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.system import SystemSampler, count_looks

EXPECTED = {
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/disk_usage_percentage",
    "system/disk_usage_megabytes",
    "system/disk_available_megabytes",
    "system/network_receive_megabytes",
    "system/network_transmit_megabytes",
    "system/process_memory_megabytes",
}


def begin(root: Path, identity: str = "a") -> EventLog:
    """A log whose run has begun."""
    log = EventLog(RunFolder(root))
    log.begin(identity, name="run")
    return log


def list_looks(log: EventLog) -> list[Event]:
    """The looks at the machine in a log."""
    return [event for event in read_events(log.path) if event.kind is EventKind.system]


def test_a_short_block_has_a_look_at_either_end(tmp_path: Path) -> None:
    """However short the work is, the machine was looked at twice, and every number is possible."""
    log = begin(tmp_path)

    with SystemSampler(log, 60.0):
        pass

    looks = list_looks(log)
    assert [look.content["step"] for look in looks] == [0, 1]
    for values in (look.content["metrics"] for look in looks):
        assert set(values) == EXPECTED
        assert all(0 <= value <= 100 for name, value in values.items() if name.endswith("_percentage"))
        assert 10 < values["system/process_memory_megabytes"] < psutil.virtual_memory().total / 1e6


def test_names_are_those_of_mlflow() -> None:
    """All but the memory of the process are names that MLflow's own watch gives, so that its page shows them."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    theirs = set()
    for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
        monitor.collect_metrics()
        theirs |= {f"system/{name}" for name in monitor.metrics}

    assert EXPECTED - {"system/process_memory_megabytes"} == theirs


def test_numbers_go_on_where_the_last_command_stopped(tmp_path: Path) -> None:
    """A run that goes on counts its looks on; another run in the same folder begins at 0."""
    with SystemSampler(begin(tmp_path), 60.0):
        pass
    again = begin(tmp_path)
    again.end(EndStatus.finished)
    again = begin(tmp_path)

    with SystemSampler(again, 60.0):
        pass
    assert [look.content["step"] for look in list_looks(again)] == [0, 1, 2, 3]

    other = begin(tmp_path, "b")
    assert count_looks(other) == 0


def test_looks_come_at_the_pace_that_was_asked_for(tmp_path: Path) -> None:
    """Work of ten intervals has about ten looks, and busy work shows as a busy processor."""
    log = begin(tmp_path)

    with SystemSampler(log, 0.2):
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            sum(range(1000))

    looks = list_looks(log)
    assert 3 <= len(looks) <= 13
    assert max(look.content["metrics"]["system/cpu_utilization_percentage"] for look in looks) > 0


@pytest.mark.parametrize("seconds", [0.0, 0])
def test_none_at_all_when_the_time_is_0(tmp_path: Path, seconds: float) -> None:
    """0 seconds is a value: it means no looks, and no thread."""
    log = begin(tmp_path)
    before = threading.active_count()

    with SystemSampler(log, seconds):
        assert threading.active_count() == before

    assert list_looks(log) == []


def test_nothing_happens_without_psutil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional package is absent: no looks, no complaint."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    log = begin(tmp_path)

    with SystemSampler(log, 0.1):
        pass

    assert list_looks(log) == []


def test_a_log_that_cannot_be_written_stops_the_looks_and_not_the_work() -> None:
    """A full disk ends the looks with one line in the log of the run."""

    class FullJournal(SilentJournal):
        calls = 0

        def system(self, values: Mapping[str, float], *, step: int) -> None:
            self.calls += 1
            message = "cannot write 'events.jsonl' (No space left on device)"
            raise StorageError(message)

    said: list[str] = []
    place = logger.add(lambda text: said.append(str(text)), level="WARNING", format="{message}")
    journal = FullJournal()
    try:
        with SystemSampler(journal, 0.05):
            time.sleep(0.5)
    finally:
        logger.remove(place)

    assert journal.calls == 1
    assert [text.strip() for text in said] == [
        "the load of the machine is not logged any more: cannot write 'events.jsonl' (No space left on device)"
    ]


def test_the_thread_is_gone_when_the_work_fails(tmp_path: Path) -> None:
    """An error inside the block comes out as it is, after a last look."""
    log = begin(tmp_path)

    with pytest.raises(ZeroDivisionError), SystemSampler(log, 60.0):
        _ = 1 / 0

    assert "system-sampler" not in {thread.name for thread in threading.enumerate()}
    assert len(list_looks(log)) == 2


def test_a_look_costs_less_than_a_hundredth_of_its_time(tmp_path: Path) -> None:
    """At the usual 10 seconds the processor time of a look stays below 1 %, the thread's start included."""
    log = begin(tmp_path)
    sampler = SystemSampler(log, 0.01)
    before = time.process_time()

    with sampler:
        time.sleep(1.0)

    spent = time.process_time() - before
    looks = len(list_looks(log))
    assert looks > 10
    assert spent / looks < 0.01 * 10.0


def test_counters_that_are_hidden_stop_the_looks_and_not_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some containers do not let a process see the network or its own memory."""
    log = begin(tmp_path)

    def refuse() -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_io_counters", refuse)
    said: list[str] = []
    sink = logger.add(lambda text: said.append(str(text)), level="WARNING", format="{message}")
    try:
        with SystemSampler(log, 60.0):
            log.metrics({"loss": 1.0})
    finally:
        logger.remove(sink)
    assert list_looks(log) == []
    assert any("not logged any more" in line for line in said)
