"""What a tracker knows of a run, and how a tracker is named for people."""

from dataclasses import dataclass, field
from pathlib import Path

from phytoscope.errors import ArtifactError
from phytoscope.schema.choices import TrackSink
from phytoscope.track.cursor import DeliveredRun, list_waiting, load_cursor
from phytoscope.track.log_runs import LogRuns, find_logs
from phytoscope.track.target import TrackTarget


@dataclass(frozen=True)
class Told:
    """How much of an event log a tracker knows.

    Attributes:
        told: Events that it knows.
        total: Events of the log.
        error: Why the last attempt to tell it more failed; empty when it did not, or when it knows all.
        facts: What it answered about the last run of the log, for example `url`.
    """

    told: int
    total: int
    error: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def read_told(root: Path, target: TrackTarget) -> Told:
    """What a tracker knows of the runs in one folder.

    Args:
        root: Folder of the run.
        target: The tracker.

    Raises:
        ArtifactError: There is no event log, or it is damaged.
    """
    cursor = load_cursor(root, target)
    runs = LogRuns(root).look()
    total = sum(len(events) for events in runs.values())
    left = sum(len(list_waiting(events, cursor.runs.get(key, DeliveredRun()))) for key, events in runs.items())
    last = next(reversed(runs), "")
    facts = cursor.runs.get(last, DeliveredRun()).facts
    return Told(total - left, total, cursor.error if left > 0 else "", facts)


def read_told_below(root: Path, target: TrackTarget) -> Told:
    """What a tracker knows of a run and its folds or trials together; a damaged log counts as one event not told.

    Args:
        root: Folder of the run.
        target: The tracker.
    """
    told, total, why = 0, 0, ""
    for place in find_logs(root):
        try:
            found = read_told(place, target)
        except ArtifactError as error:
            found = Told(0, 1, str(error))
        told, total, why = told + found.told, total + found.total, why or found.error
    return Told(told, total, why)


def word_target(target: TrackTarget) -> str:
    """Names a tracker for people, without a password."""
    from phytoscope.track.mlflow_client import hide_secret

    name = "MLflow" if target.sink is TrackSink.mlflow else "Weights & Biases"
    return f"{name} ({hide_secret(target.place)})"
