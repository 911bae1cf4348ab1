import errno
import json
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from factories.event_writers import write_for_ever, write_many, write_unpickled
from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.events import EndStatus, EventKind, EventLog, RunKind, SilentJournal, read_events
from phytoscope.schema.run_folder import RunFolder

SPAWN = multiprocessing.get_context("spawn")


def open_log(root, identity="one") -> EventLog:
    log = EventLog(RunFolder(root))
    log.begin(identity, name="leaves")
    return log


def read(log) -> list:
    return list(read_events(log.path))


def test_every_event_can_be_read_back(tmp_path) -> None:
    """What was written stands in the log in its order, each with its number, its run and its time."""
    log = EventLog(RunFolder(tmp_path))
    key = log.begin("id", name="Bohnenrost é", kind=RunKind.fold, parent="p" * 32)
    log.params({"seed": 0, "adapt.dropout": 0.0, "data.unit": None, "data.strict": False})
    log.dataset({"name": "x", "rows": {"train": np.int64(3)}})
    log.metrics({"train/loss": 0.5}, step=0)
    log.system({"system/cpu": 12.0}, step=4)
    log.artifact(tmp_path / "figures" / "a.png", "figures")
    log.package(tmp_path / "package")
    log.tags({"word": "zwei\nZeilen\u2028"})
    log.end(EndStatus.failed, "why")
    events = read(log)
    assert [event.kind for event in events] == list(EventKind)
    assert [event.seq for event in events] == list(range(9))
    assert {event.run for event in events} == {key}
    assert all(abs(event.time - time.time()) < 60 for event in events)
    assert events[0].content == {"identity": "id", "name": "Bohnenrost é", "kind": "fold", "parent": "p" * 32}
    assert events[1].content["params"] == {"seed": 0, "adapt.dropout": 0.0, "data.unit": None, "data.strict": False}
    assert events[2].content["rows"] == {"train": 3}
    assert events[5].content == {"path": "figures/a.png", "folder": "figures"}
    assert events[7].content == {"tags": {"word": "zwei\nZeilen\u2028"}}
    assert events[8].content == {"status": "failed", "reason": "why"}


def test_same_identity_is_the_same_run(tmp_path) -> None:
    """A run that goes on keeps its key: without a word when it never ended, with a new beginning when it had."""
    first = open_log(tmp_path)
    again = open_log(tmp_path)
    assert again.run == first.run
    assert [event.kind for event in read(again)] == ["begin"]
    again.end(EndStatus.interrupted)
    assert open_log(tmp_path).run == first.run
    assert [event.kind for event in read(again)] == ["begin", "end", "begin"]


def test_another_identity_is_another_run(tmp_path) -> None:
    """A training that starts over with other settings is another run, whose numbers are its own."""
    log = open_log(tmp_path)
    log.metrics({"train/loss": 1.0}, step=0)
    other = open_log(tmp_path, "two")
    other.metrics({"train/loss": 1.0}, step=0)
    assert other.run != log.run
    assert [event.run for event in read(log)] == [log.run, log.run, other.run, other.run]
    # The first writer sees what the second one began.
    log.tags({"a": "b"})
    assert read(log)[-1].run == other.run


def test_number_that_is_known_is_not_written_again(tmp_path) -> None:
    """An epoch that is trained again after a kill adds no second number; zero is a number."""
    log = open_log(tmp_path)
    log.metrics({"train/loss": 0.0, "val/loss": 2.0}, step=0)
    resumed = open_log(tmp_path)
    resumed.metrics({"train/loss": 0.0, "val/loss": 2.0}, step=0)
    resumed.metrics({"train/loss": 0.0, "val/r2": 0.5}, step=0)
    resumed.metrics({"train/loss": 0.0}, step=1)
    told = [event.content for event in read(log) if event.kind is EventKind.metrics]
    assert told == [
        {"step": 0, "metrics": {"train/loss": 0.0, "val/loss": 2.0}},
        {"step": 0, "metrics": {"val/r2": 0.5}},
        {"step": 1, "metrics": {"train/loss": 0.0}},
    ]


def test_number_that_is_not_finite_stops_nobody(tmp_path) -> None:
    """A loss of nan is left out of the numbers, and a setting that is infinite becomes a word."""
    log = open_log(tmp_path)
    log.metrics({"a": float("nan"), "b": 1.0}, step=0)
    log.metrics({"a": float("inf")}, step=1)
    log.system({"a": float("nan")}, step=0)
    log.system({"a": float("-inf"), "b": np.float32(2.0)}, step=1)
    log.params({"x": float("inf"), "y": np.float64("nan"), "z": [1.0, float("nan")], "path": Path("a")})
    events = read(log)[1:]
    assert [event.content for event in events[:2]] == [
        {"step": 0, "metrics": {"b": 1.0}},
        {"step": 1, "metrics": {"b": 2.0}},
    ]
    assert events[2].content["params"] == {"x": "inf", "y": "nan", "z": [1.0, "nan"], "path": "a"}


def test_names_of_any_bytes_are_kept(tmp_path) -> None:
    """A file whose name is not UTF-8 is no reason to stop, and the log stays UTF-8."""
    name = os.fsdecode(b"leaf-\xff.jpg")
    log = open_log(tmp_path)
    log.tags({"file": name, "語": "ü"})
    assert read(log)[-1].content["tags"] == {"file": name, "語": "ü"}
    assert "語" in log.path.read_text(encoding="utf-8")


def test_events_before_the_beginning_belong_to_nobody(tmp_path) -> None:
    """Nothing is written before a run has begun."""
    log = EventLog(RunFolder(tmp_path))
    log.metrics({"a": 1.0})
    log.end(EndStatus.finished)
    assert not log.path.exists()
    assert log.run == ""


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_half_a_line_is_cut_off(tmp_path, kept) -> None:
    """Of a line that a killed process left half written nothing stays, and nothing else is lost."""
    log = open_log(tmp_path)
    log.metrics({"train/loss": 1.0}, step=0)
    whole = log.path.read_bytes()
    log.tags({"name": "ü" * 50})
    line = log.path.read_bytes()[len(whole) :]
    log.path.write_bytes(whole + line[:kept])
    assert len(read(log)) == 2
    resumed = open_log(tmp_path)
    resumed.metrics({"train/loss": 2.0}, step=1)
    assert log.path.read_bytes().startswith(whole)
    assert [event.seq for event in read(log)] == [0, 1, 2]
    assert resumed.run == log.run
    # The writer that was there before notices too.
    log.tags({"a": "b"})
    assert [event.seq for event in read(log)] == [0, 1, 2, 3]


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("garbage", [b"not json\n", b"\x00" * 40 + b"\n", b"[1]\n", b'{"seq": 1}\n', b"\xff\xfe\n"])
def test_damaged_log_is_saved(tmp_path, place, garbage) -> None:
    """A damaged line stops nobody: the file is kept aside, all other lines keep their numbers, and a tag tells."""
    log = open_log(tmp_path)
    for step in range(3):
        log.metrics({"train/loss": step / 3}, step=step)
    lines = log.path.read_bytes().splitlines(keepends=True)
    lines.insert({"first": 0, "middle": 2, "last": 4}[place], garbage)
    log.path.write_bytes(b"".join(lines))
    with pytest.raises(ArtifactError, match="damaged in line"):
        read(log)
    for writer in (EventLog(RunFolder(tmp_path)), log):
        writer.begin("one", name="leaves")
        writer.metrics({"train/loss": 2 / 3, "val/loss": 1.0}, step=2)
    events = read(log)
    assert {event.run for event in events} == {log.run}
    assert [event.seq for event in events[:4]] == [0, 1, 2, 3]
    assert [event.content["metrics"] for event in events[4:] if event.kind is EventKind.metrics] == [{"val/loss": 1.0}]
    tags = [event.content["tags"] for event in events if event.kind is EventKind.tags]
    assert len(tags) == 1
    assert "events.damaged.jsonl" in tags[0]["phytoscope.log_damaged"]
    assert garbage in (tmp_path / "events.damaged.jsonl").read_bytes()


def test_writer_reads_a_damaged_log(tmp_path) -> None:
    """Whoever writes may read too, and the damage is saved before; a log that is not there holds nothing."""
    log = open_log(tmp_path)
    assert EventLog(RunFolder(tmp_path / "new")).events() == []
    with log.path.open("ab") as stream:
        stream.write(b"garbage\n")
    assert [event.kind for event in EventLog(RunFolder(tmp_path)).events()] == ["begin"]
    assert (tmp_path / "events.damaged.jsonl").exists()


def test_each_damaged_log_is_kept(tmp_path) -> None:
    """A log that is damaged twice leaves two files."""
    log = open_log(tmp_path)
    for _ in range(2):
        with log.path.open("ab") as stream:
            stream.write(b"garbage\n")
        log.tags({"a": "b"})
    assert sorted(path.name for path in tmp_path.glob("events.damaged*")) == [
        "events.damaged-2.jsonl",
        "events.damaged.jsonl",
    ]


def test_numbers_of_lost_events_are_not_given_again(tmp_path) -> None:
    """A tracker that knows event 3 never meets another event 3, though the line was lost."""
    log = open_log(tmp_path)
    for step in range(3):
        log.metrics({"train/loss": step / 3}, step=step)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([*lines[:2], b"x\n", b"x\n"]))
    EventLog(RunFolder(tmp_path)).tags({"a": "b"})
    assert [event.seq for event in read(log)] == [0, 1, 4, 5]


def test_log_that_was_taken_away_goes_on(tmp_path) -> None:
    """When somebody removes the log of a training, the rest of the training is told under the same key."""
    log = open_log(tmp_path)
    log.metrics({"train/loss": 1.0}, step=0)
    log.path.unlink()
    log.metrics({"train/loss": 0.5}, step=1)
    events = read(log)
    assert [event.kind for event in events] == ["begin", "metrics"]
    assert {event.run for event in events} == {log.run}
    assert [event.seq for event in events] == [2, 3]


def test_log_that_was_replaced_is_read_anew(tmp_path) -> None:
    """Another log of the same length in its place does not pass for the one that is known."""
    log = open_log(tmp_path)
    other = "0" * 32
    (tmp_path / "new").write_bytes(log.path.read_bytes().replace(log.run.encode(), other.encode()))
    (tmp_path / "new").replace(log.path)
    log.tags({"a": "b"})
    assert {event.run for event in read(log)} == {other}


def test_full_disk_says_so(tmp_path, monkeypatch) -> None:
    """A disk that is full in the middle of a line is a StorageError, and the log is whole when there is room again."""
    log = open_log(tmp_path)
    real = Path.open

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, data):
            self.stream.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(self, mode="r", *args, **kwargs):
        stream = real(self, mode, *args, **kwargs)
        return Full(stream) if mode == "ab" else stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        with pytest.raises(StorageError, match="disk is full"):
            log.metrics({"train/loss": 1.0}, step=0)
    log.metrics({"train/loss": 1.0}, step=0)
    assert [event.kind for event in read(log)] == ["begin", "metrics"]


def test_missing_log_is_an_error_for_readers(tmp_path) -> None:
    """Whoever reads a log that is not there is told so."""
    with pytest.raises(ArtifactError, match=r"events\.jsonl"):
        list(read_events(tmp_path / "events.jsonl"))


def test_reading_goes_on_after_a_number(tmp_path) -> None:
    """Only events with a larger number are given; number 0 is a number."""
    log = open_log(tmp_path)
    for step in range(3):
        log.metrics({"train/loss": step / 3}, step=step)
    assert [event.seq for event in read_events(log.path, after=0)] == [1, 2, 3]
    assert [event.seq for event in read_events(log.path, after=-1)] == [0, 1, 2, 3]


def test_processes_that_write_at_once_lose_nothing(tmp_path) -> None:
    """Three processes write into one log: all agree on one key, every number is there once, none is torn."""
    workers = [SPAWN.Process(target=write_many, args=(str(tmp_path), number, 60)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    events = list(read_events(tmp_path / "events.jsonl"))
    assert [event.seq for event in events] == list(range(len(events)))
    assert len({event.run for event in events}) == 1
    numbers = [
        (name, event.content["step"])
        for event in events
        if event.kind is EventKind.metrics
        for name in event.content["metrics"]
    ]
    names = ["shared", "writer/0", "writer/1", "writer/2"]
    assert sorted(numbers) == [(name, step) for name in names for step in range(60)]


def test_log_travels_to_another_process(tmp_path) -> None:
    """A trainer that is started anew receives the log, writes into it, and the first process knows what it wrote."""
    log = open_log(tmp_path)
    log.metrics({"val/loss": 0.0}, step=0)
    worker = SPAWN.Process(target=write_unpickled, args=(pickle.dumps(log), 1))
    worker.start()
    worker.join(120)
    assert worker.exitcode == 0
    log.metrics({"val/loss": 99.0}, step=1)
    assert [event.content["metrics"] for event in read(log)[1:]] == [{"val/loss": 0.0}, {"val/loss": 1 / 7}]


def test_killed_writer_leaves_a_log_that_goes_on(tmp_path) -> None:
    """After kill -9 in the middle of writing, the next process goes on with the same run and the next number."""
    path = tmp_path / "events.jsonl"
    worker = SPAWN.Process(target=write_for_ever, args=(str(tmp_path),))
    worker.start()
    deadline = time.monotonic() + 120
    while not path.exists() or path.stat().st_size < 20_000:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    worker.kill()
    worker.join()
    before = list(read_events(path))
    log = open_log(tmp_path, "same")
    log.metrics({"train/loss": -1.0}, step=10**6)
    events = read(log)
    assert events[:-1] == before
    assert [event.seq for event in events] == list(range(len(events)))
    assert {event.run for event in events} == {log.run}


def test_writing_stays_quick(tmp_path) -> None:
    """The last of many events cost what the first cost: a writer that is alone reads nothing again."""
    log = open_log(tmp_path)

    def write(start: int) -> float:
        began = time.process_time()
        for step in range(start, start + 500):
            log.metrics({"train/loss": step / 7}, step=step)
        return time.process_time() - began

    first = write(0)
    for step in range(500, 4500):
        log.metrics({"train/loss": step / 7}, step=step)
    assert write(4500) < 4 * first + 0.2
    assert first < 5


def test_silent_journal_keeps_nothing(tmp_path) -> None:
    """Whoever keeps no log can be told everything."""
    journal = SilentJournal()
    assert journal.begin("a", name="b") == ""
    journal.params({})
    journal.dataset({})
    journal.metrics({})
    journal.system({}, step=0)
    journal.artifact(tmp_path)
    journal.package(tmp_path)
    journal.tags({})
    journal.end(EndStatus.finished)
    assert list(tmp_path.iterdir()) == []


def test_lines_are_plain_json(tmp_path) -> None:
    """Anybody can read the log without us: one JSON object a line."""
    log = open_log(tmp_path)
    log.metrics({"train/loss": 0.5}, step=3)
    lines = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]
    assert [(line["seq"], line["event"]) for line in lines] == [(0, "begin"), (1, "metrics")]
    assert lines[1]["metrics"] == {"train/loss": 0.5}
