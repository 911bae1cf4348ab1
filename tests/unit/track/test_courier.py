import errno
import shutil
import threading
import time

import filelock
import pytest

from factories.sinks import TARGET, MemoryTracker
from factories.told_runs import begin_run, finish_run, write_epoch, write_run
from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.events import EndStatus, EventKind, EventLog, RunKind, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track import courier, teller
from phytoscope.track.courier import Delivery, deliver, follow, read_delivered
from phytoscope.track.cursor import only_teller
from phytoscope.track.target import TrackTarget, load_targets, save_targets
from phytoscope.track.teller import Teller


@pytest.fixture
def tracker(monkeypatch) -> MemoryTracker:
    """A tracker in memory, which the courier takes for MLflow."""
    found = MemoryTracker()
    monkeypatch.setattr(teller, "open_sink", found.open_sink)
    return found


@pytest.fixture
def quick(monkeypatch) -> None:
    """Pauses that are a hundred times shorter."""
    monkeypatch.setattr(courier, "_PAUSE_S", 0.005)
    monkeypatch.setattr(courier, "_LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(courier, "_LOOK_AROUND_S", 0.05)


def count(log) -> int:
    return len(list(read_events(log.path)))


def test_all_is_told_once(tracker, tmp_path) -> None:
    """The first delivery tells everything in order, the second nothing, and only what is new goes with the third."""
    log = write_run(tmp_path)
    n = count(log)
    assert deliver(tmp_path, TARGET) == Delivery(n, 0)
    assert tracker.seqs(log.run) == list(range(n))
    assert deliver(tmp_path, TARGET) == Delivery(0, 0)
    log.tags({"late": "word"})
    assert deliver(tmp_path, TARGET) == Delivery(1, 0)
    assert tracker.seqs(log.run) == list(range(n + 1))


def test_delivered_run_is_known_by_its_key(tracker, tmp_path) -> None:
    """Id, last event and what the tracker answered are kept beside the run."""
    log = write_run(tmp_path)
    assert read_delivered(tmp_path, TARGET) == {}
    deliver(tmp_path, TARGET)
    known = read_delivered(tmp_path, TARGET)
    assert set(known) == {log.run}
    assert (known[log.run].remote, known[log.run].seq) == ("remote-0", count(log) - 1)
    assert known[log.run].facts == {"url": "http://memory/remote-0"}


def test_run_is_described_to_the_tracker(tracker, tmp_path) -> None:
    """Name, kind, parent, folder and beginning of the run come from its first event."""
    log = EventLog(RunFolder(tmp_path))
    log.begin("id", name="fold two", kind=RunKind.fold, parent="f" * 32)
    deliver(tmp_path, TARGET)
    run = tracker.opened[0]
    began = next(read_events(log.path)).time
    assert (run.key, run.name, run.kind, run.parent) == (log.run, "fold two", RunKind.fold, "f" * 32)
    assert (run.root, run.began, run.remote) == (tmp_path, began, "")


def test_absent_tracker_is_no_exception(tracker, tmp_path) -> None:
    """What could not be told waits, the reason is known, and all is told when the tracker is back."""
    log = write_run(tmp_path)
    tracker.away = True
    assert deliver(tmp_path, TARGET) == Delivery(0, count(log), "nobody answers")
    tracker.away = False
    assert deliver(tmp_path, TARGET) == Delivery(count(log), 0)


@pytest.mark.parametrize("breaks_after", [0, 1, 3])
def test_tracker_that_goes_away_in_the_middle_hears_the_rest_later(tracker, tmp_path, breaks_after) -> None:
    """A batch that was told in part is told again, and the batches before it are not."""
    log = write_run(tmp_path)
    tracker.breaks_after = breaks_after
    first = deliver(tmp_path, TARGET)
    assert first.error == "it went away in the middle"
    assert first.told + first.waiting == count(log)
    tracker.away = False
    assert deliver(tmp_path, TARGET) == Delivery(first.waiting, 0)
    assert sorted(set(tracker.seqs(log.run))) == list(range(count(log)))
    assert tracker.seqs(log.run).count(0) == (2 if breaks_after == 0 else 1)


def test_errors_of_the_network_and_of_files_are_waited_for(tracker, tmp_path) -> None:
    """A file that goes away while it is sent, or a library's own network error, ends only this attempt."""
    log = write_run(tmp_path)

    def fail() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "report.html")

    tracker.before_send = fail
    delivery = deliver(tmp_path, TARGET)
    assert (delivery.told, delivery.waiting) == (0, count(log))
    assert "report.html" in delivery.error


def test_tracker_that_lost_a_run_is_told_all_again(tracker, tmp_path) -> None:
    """A store that was emptied hears the whole run with the next event."""
    log = write_run(tmp_path)
    deliver(tmp_path, TARGET)
    tracker.remotes, tracker.known = {"another": "remote-0"}, {}
    log.tags({"late": "word"})
    assert deliver(tmp_path, TARGET) == Delivery(count(log), 0)
    assert tracker.seqs(log.run) == list(range(count(log)))


def test_log_that_lost_its_end_is_told_again(tracker, tmp_path) -> None:
    """After a power cut took the last lines, those written in their place are told though their numbers are known."""
    log = begin_run(tmp_path)
    write_epoch(log, 0)
    deliver(tmp_path, TARGET)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:-2]))
    time.sleep(0.002)
    resumed = EventLog(RunFolder(tmp_path))
    resumed.metrics({"val/r2": 0.5}, step=0)
    resumed.metrics({"val/r2": 0.6}, step=1)
    assert deliver(tmp_path, TARGET).waiting == 0
    told = [event.content["metrics"] for event in tracker.known[log.run] if event.kind is EventKind.metrics]
    assert told[-2:] == [{"val/r2": 0.5}, {"val/r2": 0.6}]


def test_damaged_log_does_not_confuse_the_cursor(tracker, tmp_path) -> None:
    """A log that was saved from damage goes on where the tracker is, under the same run."""
    log = write_run(tmp_path)
    deliver(tmp_path, TARGET)
    n = count(log)
    with log.path.open("ab") as stream:
        stream.write(b"garbage\n")
    log.tags({"late": "word"})
    assert deliver(tmp_path, TARGET).waiting == 0
    assert tracker.seqs(log.run)[:n] == list(range(n))
    assert [event.kind for event in tracker.known[log.run][n:]] == [EventKind.tags, EventKind.tags]


def test_damaged_log_is_an_error_for_sync(tracker, tmp_path) -> None:
    """Who tells by hand is told that the log is damaged, or not there."""
    log = write_run(tmp_path)
    with log.path.open("ab") as stream:
        stream.write(b"garbage\n")
    with pytest.raises(ArtifactError, match="damaged in line"):
        deliver(tmp_path, TARGET)
    with pytest.raises(ArtifactError, match="holds no events"):
        deliver(tmp_path / "elsewhere", TARGET)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"runs": {"a": 3}}', '{"runs": {"a": {"remote": "x"}}}'])
def test_damaged_cursor_means_that_nothing_was_told(tracker, tmp_path, content) -> None:
    """A cursor that cannot be read has everything told once more, which changes nothing in the tracker."""
    log = write_run(tmp_path)
    deliver(tmp_path, TARGET)
    (tmp_path / "tracking" / f"{TARGET.id}.json").write_text(content)
    assert deliver(tmp_path, TARGET) == Delivery(count(log), 0)
    assert len(tracker.remotes) == 1


def test_cursor_that_cannot_be_written_is_a_storage_error(tracker, tmp_path, monkeypatch) -> None:
    """A full disk is not taken for a tracker that is away."""

    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    write_run(tmp_path)
    monkeypatch.setattr(teller, "save_cursor", fail)
    with pytest.raises(StorageError, match="disk is full"):
        deliver(tmp_path, TARGET)


def test_several_runs_in_one_folder_are_told_apart(tracker, tmp_path) -> None:
    """A training that started over with other settings is a second run of the tracker."""
    log = write_run(tmp_path)
    first = log.run
    log.begin("other", name="second")
    log.metrics({"train/loss": 1.0}, step=0)
    deliver(tmp_path, TARGET)
    assert tracker.kinds(log.run) == [EventKind.begin, EventKind.metrics]
    assert set(tracker.known) == {first, log.run}
    log.tags({"a": "b"})
    assert deliver(tmp_path, TARGET).told == 1


def test_file_that_is_written_again_is_sent_once(tracker, tmp_path) -> None:
    """Of a report that was written twice before anybody was told, only the last is sent; both count as told."""
    log = begin_run(tmp_path)
    finish_run(log, 1)
    finish_run(log, 2)
    delivery = deliver(tmp_path, TARGET)
    assert delivery == Delivery(count(log), 0)
    assert tracker.kinds(log.run).count(EventKind.artifact) == 3
    assert tracker.kinds(log.run).count(EventKind.package) == 1
    last = [event.seq for event in read_events(log.path) if event.kind is EventKind.package][-1]
    assert last in tracker.seqs(log.run)


def test_two_couriers_never_tell_twice(tracker, tmp_path) -> None:
    """Four that deliver the same run at once tell every event once, between them."""
    log = write_run(tmp_path, epochs=30)
    tracker.before_send = lambda: time.sleep(0.02)
    told = []
    threads = [threading.Thread(target=lambda: told.append(deliver(tmp_path, TARGET))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.seqs(log.run) == list(range(count(log)))
    assert sum(each.told for each in told) == count(log)
    assert len(tracker.remotes) == 1


def test_time_that_is_up_leaves_the_rest(tracker, tmp_path) -> None:
    """Within zero seconds nothing is told and nothing lost; a process that is telling is not waited for."""
    log = write_run(tmp_path)
    assert deliver(tmp_path, TARGET, seconds=0.0).waiting == count(log)
    with only_teller(tmp_path, TARGET, 0.0):
        delivery = deliver(tmp_path, TARGET, seconds=0.05)
    assert (delivery.told, delivery.waiting) == (0, count(log))
    assert "another process" in delivery.error


def test_progress_is_told_in_events(tracker, tmp_path) -> None:
    """The steps of the bar sum up to what was told."""
    log = write_run(tmp_path)
    steps: list[int] = []
    deliver(tmp_path, TARGET, advance=steps.append)
    assert sum(steps) == count(log)
    assert len(steps) > 1


@pytest.mark.parametrize(("parent", "child"), [(".", "folds/1"), (".", "trials/0001/run"), ("data", "trials/0001")])
def test_parent_is_opened_before_its_child(tracker, tmp_path, parent, child) -> None:
    """The run of a sweep or of a cross-validation is known to the tracker before the first trial or fold."""
    above = begin_run(tmp_path / parent)
    below = EventLog(RunFolder(tmp_path / child))
    below.begin("fold", name="fold", kind=RunKind.fold, parent=above.run)
    assert deliver(tmp_path / child, TARGET).waiting == 0
    assert [run.key for run in tracker.opened] == [above.run, below.run]
    assert above.run not in tracker.known
    assert deliver(tmp_path / parent, TARGET).told == count(above)
    assert len(tracker.remotes) == 2


def test_child_whose_parent_is_gone_is_told_all_the_same(tracker, tmp_path) -> None:
    """A fold that was copied elsewhere is told with the key of its parent alone."""
    below = EventLog(RunFolder(tmp_path / "fold"))
    below.begin("fold", name="fold", kind=RunKind.fold, parent="e" * 32)
    assert deliver(tmp_path / "fold", TARGET) == Delivery(1, 0)
    assert tracker.opened[0].parent == "e" * 32


def test_following_tells_while_the_run_goes_on(tracker, quick, tmp_path) -> None:
    """Epochs are told as they come, also those of a run whose log began later, and the end ends the following."""
    over, found = threading.Event(), []
    thread = threading.Thread(target=lambda: found.append(follow(tmp_path, TARGET, over=over, patience_s=60)))
    thread.start()
    log = begin_run(tmp_path)
    for epoch in range(3):
        write_epoch(log, epoch)
        n = count(log)
        wait_until(lambda n=n: len(tracker.seqs(log.run)) == n)
    finish_run(log, 3)
    over.set()
    thread.join(30)
    assert found == [Delivery(count(log), 0)]
    assert tracker.seqs(log.run) == list(range(count(log)))
    assert tracker.closed >= 1


def test_following_outlives_an_absence(tracker, quick, tmp_path) -> None:
    """A tracker that goes away and returns knows all in the end; the reason is said once, and that it is back."""
    over, said = threading.Event(), []
    thread = threading.Thread(
        target=follow, args=(tmp_path, TARGET), kwargs={"over": over, "patience_s": 60, "say": said.append}
    )
    log = begin_run(tmp_path)
    tracker.away = True
    thread.start()
    wait_until(lambda: said)
    write_epoch(log, 0)
    time.sleep(0.1)
    tracker.away = False
    wait_until(lambda: len(tracker.seqs(log.run)) == count(log))
    tracker.away = True
    finish_run(log, 1)
    over.set()
    time.sleep(0.05)
    tracker.away = False
    thread.join(30)
    assert tracker.seqs(log.run) == list(range(count(log)))
    assert said[0] == "nobody answers"
    assert "answers again" in said[1]
    assert said[-1].endswith("0 left")


def test_following_gives_up_some_time_after_the_end(tracker, quick, tmp_path) -> None:
    """A tracker that never answers is waited for as long as the run lasts, and then a little."""
    log = write_run(tmp_path)
    tracker.away = True
    over = threading.Event()
    found = []
    thread = threading.Thread(target=lambda: found.append(follow(tmp_path, TARGET, over=over, patience_s=0.2)))
    thread.start()
    time.sleep(0.4)
    assert thread.is_alive()
    over.set()
    thread.join(30)
    assert found == [Delivery(0, count(log), "nobody answers")]


def test_following_ends_when_the_run_is_removed(tracker, quick, tmp_path) -> None:
    """Of a folder that is gone there is nothing to tell, however patient the courier is."""
    begin_run(tmp_path / "run")
    tracker.away = True
    over = threading.Event()
    thread = threading.Thread(target=follow, args=(tmp_path / "run", TARGET), kwargs={"over": over, "patience_s": 600})
    thread.start()
    over.set()
    time.sleep(0.05)
    # The courier may be writing there at this moment.
    (tmp_path / "run").rename(tmp_path / "away")
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("pause_s", [0.05, 3600.0])
def test_following_tells_of_folds_and_trials(tracker, quick, tmp_path, monkeypatch, pause_s) -> None:
    """Logs that appear below a run are told too, at the latest in the end, and who asks about one knows whom."""
    monkeypatch.setattr(courier, "_LOOK_AROUND_S", pause_s)
    save_targets(tmp_path / "tracking", [TARGET])
    over = threading.Event()
    thread = threading.Thread(target=follow, args=(tmp_path, TARGET), kwargs={"over": over, "patience_s": 60})
    above = begin_run(tmp_path)
    thread.start()
    logs = []
    for fold in range(2):
        log = EventLog(RunFolder(tmp_path / "folds" / str(fold)))
        log.begin("fold", name="fold", kind=RunKind.fold, parent=above.run)
        log.metrics({"val/r2": 0.5}, step=0)
        log.end(EndStatus.finished)
        logs.append(log)
    over.set()
    thread.join(30)
    assert [tracker.kinds(log.run) for log in logs] == [[EventKind.begin, EventKind.metrics, EventKind.end]] * 2
    assert load_targets(tmp_path / "folds" / "1" / "tracking") == [TARGET]


def test_following_waits_for_a_damaged_log_to_be_saved(tracker, quick, tmp_path) -> None:
    """The courier outlives a damaged log, which the run itself saves with its next event."""
    log = begin_run(tmp_path)
    with log.path.open("ab") as stream:
        stream.write(b"garbage\n")
    over, said = threading.Event(), []
    thread = threading.Thread(
        target=follow, args=(tmp_path, TARGET), kwargs={"over": over, "patience_s": 60, "say": said.append}
    )
    thread.start()
    wait_until(lambda: said)
    assert "damaged" in said[0]
    write_epoch(log, 0)
    over.set()
    thread.join(30)
    assert EventKind.metrics in tracker.kinds(log.run)


def test_teller_notices_what_another_told(tracker, tmp_path) -> None:
    """One that keeps its connection open lets go of it when another process told something meanwhile."""
    log = begin_run(tmp_path)
    mine = Teller(tmp_path, TARGET)
    mine.tell()
    write_epoch(log, 0)
    deliver(tmp_path, TARGET)
    opened = len(tracker.opened)
    write_epoch(log, 1)
    assert mine.tell().waiting == 0
    assert len(tracker.opened) == opened + 1
    assert tracker.seqs(log.run) == list(range(count(log)))


def test_run_folder_that_is_cleared_does_not_lose_the_cursor(tracker, tmp_path) -> None:
    """A run that begins, and clears away half-written files, does not disturb a courier that is still telling."""
    log = write_run(tmp_path, epochs=60)
    run = RunFolder(tmp_path)
    run.record("prepare").parent.mkdir()
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            with run.locked():
                pass

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(60):
            log.tags({"a": "b"})
            assert deliver(tmp_path, TARGET).waiting == 0
    finally:
        stop.set()
        thread.join()
    assert tracker.seqs(log.run) == list(range(count(log)))


def test_each_tracker_has_a_cursor_of_its_own(tracker, tmp_path) -> None:
    """Another address, experiment or kind of tracker is told from the beginning."""
    log = write_run(tmp_path)
    others = [
        TrackTarget(TrackSink.mlflow, "elsewhere", "leaves"),
        TrackTarget(TrackSink.mlflow, "memory", "roots"),
        TrackTarget(TrackSink.wandb, "memory", "leaves"),
    ]
    for target in [TARGET, *others]:
        assert deliver(tmp_path, target).told == count(log)


def test_moved_run_goes_on(tracker, tmp_path) -> None:
    """A folder that was moved takes along what was told."""
    log = write_run(tmp_path / "here")
    deliver(tmp_path / "here", TARGET)
    shutil.move(tmp_path / "here", tmp_path / "there")
    EventLog(RunFolder(tmp_path / "there")).tags({"a": "b"})
    # The beginning of a log that is only opened is not known, so the run is the last one of the file.
    assert deliver(tmp_path / "there", TARGET) == Delivery(1, 0)
    assert len(tracker.seqs(log.run)) == count(EventLog(RunFolder(tmp_path / "there")))


def test_leftovers_of_a_killed_courier_are_cleared(tracker, tmp_path) -> None:
    """A cursor that was half written when the courier was killed does not stay, and that of another tracker does."""
    write_run(tmp_path)
    deliver(tmp_path, TARGET)
    mine = tmp_path / "tracking" / f".{TARGET.id}.json.abcd1234.tmp.json"
    other = tmp_path / "tracking" / ".wandb-0123.json.abcd1234.tmp.json"
    for path in (mine, other):
        path.write_text("{")
    deliver(tmp_path, TARGET)
    assert (mine.exists(), other.exists()) == (False, True)


def test_run_that_is_over_needs_no_connection(tracker, tmp_path) -> None:
    """A sweep of a hundred trials keeps open only those that go on; one that goes on again is opened again."""
    log = begin_run(tmp_path)
    mine = Teller(tmp_path, TARGET)
    mine.tell()
    assert tracker.closed == 0
    finish_run(log, 1)
    mine.tell()
    assert tracker.closed == 1
    assert mine.tell() == Delivery(0, 0)
    begin_run(tmp_path)
    assert mine.tell().waiting == 0
    assert len(tracker.opened) == 2
    assert tracker.seqs(log.run) == list(range(count(log)))


def test_lock_is_given_back(tmp_path) -> None:
    """Whoever told, and failed, leaves the way free for the next."""
    with pytest.raises(ZeroDivisionError), only_teller(tmp_path, TARGET, 0.0):
        raise ZeroDivisionError
    with only_teller(tmp_path, TARGET, 0.0), pytest.raises(filelock.Timeout), only_teller(tmp_path, TARGET, 0.0):
        pass


def wait_until(condition, seconds=60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("path", "folder"),
    [("../secret.txt", "tables"), ("/etc/hostname", ""), ("link.txt", ""), ("own.txt", "../../above")],
)
def test_files_outside_of_the_run_are_never_sent(tracker, tmp_path, path, folder) -> None:
    """The log of a run that was received from elsewhere must not fetch files of this computer."""
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "run"
    root.mkdir()
    (root / "own.txt").write_text("mine")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    log = begin_run(root)
    log._write(EventKind.artifact, {"path": path, "folder": folder})
    with pytest.raises(ArtifactError, match="outside of the folder"):
        deliver(root, TARGET)
    assert tracker.opened == []
