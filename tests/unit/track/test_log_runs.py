import pytest

from factories.sinks import TARGET
from factories.told_runs import begin_run, write_run
from phytoscope.errors import ArtifactError
from phytoscope.schema.events import EventLog, RunKind, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.log_runs import LogRuns, describe_run, find_logs, find_parent, find_runs, split_batches
from phytoscope.track.told import Told, read_told, read_told_below


def test_log_is_read_on(tmp_path) -> None:
    """Every look has all events so far, by run, also those of a log that was put in the place of the first."""
    log = begin_run(tmp_path)
    runs = LogRuns(tmp_path)
    assert len(runs.look()[log.run]) == 3
    assert not runs.has_news()
    log.tags({"a": "b"})
    assert runs.has_news()
    assert len(runs.look()[log.run]) == 4
    log.path.unlink()
    other = begin_run(tmp_path)
    assert list(runs.look()) == [other.run]


def test_folder_without_a_log_is_an_error(tmp_path) -> None:
    """The text says what to do."""
    with pytest.raises(ArtifactError, match="evaluate the run again"):
        LogRuns(tmp_path).look()


def test_run_without_its_beginning_can_be_described(tmp_path) -> None:
    """A log that was damaged in its first line still names a run, by its folder."""
    log = begin_run(tmp_path / "orchard")
    events = list(read_events(log.path))[1:]
    run = describe_run(tmp_path / "orchard", log.run, events, "")
    assert (run.name, run.kind, run.parent) == ("orchard", RunKind.run, None)


def test_logs_below_a_run_are_found(tmp_path) -> None:
    """Folds and trials at one or two levels, after the run itself; not those of other runs further down."""
    places = ["", "ensemble", "folds/2", "folds/1", "a/b/c"]
    for place in places:
        begin_run(tmp_path / place)
    assert find_logs(tmp_path) == [tmp_path / name for name in ("", "ensemble", "folds/1", "folds/2")]


def test_runs_at_any_depth_are_found(tmp_path) -> None:
    """All but what lies in caches, packages and hidden folders."""
    for place in ("b", "a", "a/x/y/z", "a/cache/n", "package", ".hidden", "mlflow/1"):
        begin_run(tmp_path / place)
    assert find_runs(tmp_path) == [tmp_path / name for name in ("a", "a/x/y/z", "b")]


def test_parent_is_looked_for_around(tmp_path) -> None:
    """The nearest folder around that holds the key; a damaged log around is passed over; too far away is absent."""
    above = begin_run(tmp_path)
    assert find_parent(tmp_path / "folds" / "1", above.run) == tmp_path
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "events.jsonl").write_text("garbage\n")
    assert find_parent(tmp_path / "folds" / "1", above.run) == tmp_path
    assert find_parent(tmp_path / "a" / "b" / "c" / "d", above.run) is None
    assert find_parent(tmp_path / "folds" / "1", "0" * 32) is None


def test_batches_end_with_a_file(tmp_path) -> None:
    """A long log is told in pieces, in order; whatever is large ends one."""
    log = write_run(tmp_path, epochs=120)
    events = list(read_events(log.path))
    batches = list(split_batches(events))
    assert [event for batch in batches for event in batch] == events
    assert max(map(len, batches)) == 100
    files = [event for event in events if event.kind in ("artifact", "package")]
    assert [batch[-1] for batch in batches if batch[-1].kind in ("artifact", "package")] == files


def test_what_is_told_is_summed_over_folds(tmp_path) -> None:
    """Nothing told yet: the whole of each log waits; a damaged one counts, with its reason."""
    log = begin_run(tmp_path)
    EventLog(RunFolder(tmp_path / "folds" / "1")).begin("id", name="fold", kind=RunKind.fold, parent=log.run)
    assert read_told(tmp_path, TARGET) == Told(0, 3)
    assert read_told_below(tmp_path, TARGET) == Told(0, 4)
    (tmp_path / "folds" / "1" / "events.jsonl").write_text("garbage\n")
    found = read_told_below(tmp_path, TARGET)
    assert (found.told, found.total) == (0, 4)
    assert "damaged" in found.error
