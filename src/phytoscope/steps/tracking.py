"""The event log of a run is kept while its steps are taken, and the trackers are told by a process of their own."""

import contextlib
import dataclasses
from collections.abc import Iterator

from phytoscope.errors import PhytoscopeError
from phytoscope.schema.events import EndStatus, EventLog, Journal, RunKind
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.track.background import start_courier
from phytoscope.track.target import resolve_targets, save_targets


@contextlib.contextmanager
def tracked(context: RunContext) -> Iterator[RunContext]:
    """Keeps the event log of a run while its steps are taken, and tells the trackers that the settings name.

    The trackers are told by a process of its own that reads the log, so none of them can slow or stop the work.

    Args:
        context: Settings and folder; nobody else may be writing into the folder.

    Yields:
        The same context with the journal that the steps write into.

    Raises:
        ConfigError: The address of a tracker cannot be used.
        PhytoscopeError: Whatever the steps raise.
    """
    targets = resolve_targets(context.config)
    log = EventLog(context.run)
    courier = None
    if targets:
        save_targets(context.run.tracking, targets)
        courier = start_courier(context.run.root, targets)
    try:
        with ended(log):
            yield dataclasses.replace(context, journal=log)
    except BaseException:
        if courier is not None:
            # Whoever meets an error reads it at once; the rest is told while nobody waits.
            courier.wait(0.0)
        raise
    if courier is None:
        return
    context.progress.start("Telling the trackers", None)
    left = courier.wait(context.config.track.wait_seconds)
    context.progress.finish()
    if left:
        context.say(left)


def track_child(context: RunContext, run: RunFolder, kind: RunKind) -> RunContext:
    """The context of a fold or a trial: a run of its own, below the one that it belongs to.

    Args:
        context: Context of the parent, whose journal has begun.
        run: Folder of the child.
        kind: What it is.
    """
    return dataclasses.replace(
        context, run=run, journal=EventLog(run), run_kind=kind, parent_run=find_key(context.journal)
    )


def find_key(journal: Journal) -> str | None:
    """Key of the run that a journal is about; None when it has not begun or nobody reads it."""
    return (journal.run or None) if isinstance(journal, EventLog) else None


@contextlib.contextmanager
def ended(journal: Journal) -> Iterator[None]:
    """Writes how the work on a run ended when the block is left.

    Args:
        journal: Journal of the run.

    Raises:
        PhytoscopeError: Whatever is raised inside.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            # Ctrl-C, or an orchestrator that was told to stop.
            journal.end(EndStatus.interrupted)
        else:
            # What a library says may hold anything; what we say was written for people.
            journal.end(EndStatus.failed, str(error) if isinstance(error, PhytoscopeError) else type(error).__name__)
        raise
    journal.end(EndStatus.finished)
