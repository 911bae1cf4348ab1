"""What is new in the data sets of a workspace: changed data, drift, answers to learn from. Dagster is not needed."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.artifact import read_json
from phytoscope.schema.drift import DriftReport

if TYPE_CHECKING:
    from phytoscope.steps.survey import Survey

SETTLE_VARIABLE = "PHYTOSCOPE_SETTLE_SECONDS"
_SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class SeenData:
    """What is remembered of the data of a data set between two looks.

    Attributes:
        content_hash: Hash of the data for which the last run was started; empty for none.
        pending: Hash of data that were still being copied at the last look; empty for none.
        changes: How often a run was started.
    """

    content_hash: str = ""
    pending: str = ""
    changes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any) -> "SeenData":
        """Rebuilds it from `to_dict`'s result; nothing is known when that cannot be read."""
        try:
            return cls(str(content["content_hash"]), str(content["pending"]), int(content["changes"]))
        except (KeyError, TypeError, ValueError):
            return cls()


@dataclass(frozen=True)
class DataLook:
    """What a look at the data of a data set found.

    Attributes:
        seen: What to remember until the next look.
        sentence: What was found.
        run_key: Name of the change for which a run shall start; empty when none shall.
    """

    seen: SeenData
    sentence: str
    run_key: str = ""


def find_settle_seconds() -> float:
    """Data that changed within so many seconds may still be copied: the variable PHYTOSCOPE_SETTLE_SECONDS, else 30.

    Raises:
        ConfigError: The variable is no number, or below 0.
    """
    text = os.environ.get(SETTLE_VARIABLE, "").strip()
    if not text:
        return _SETTLE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        message = f"{SETTLE_VARIABLE}={text!r} is no number of seconds: write for example {SETTLE_VARIABLE}=30."
        raise ConfigError(message)
    return seconds


def look_at_data(workspace: Workspace, name: str, seen: SeenData, *, now: float, settle_seconds: float) -> DataLook:
    """Compares the data of a data set with those of its last run.

    Only files whose size or times changed since the last look are read.

    Args:
        workspace: Workspace.
        name: Name of the data set.
        seen: What is remembered of the last look.
        now: Seconds since 1970.
        settle_seconds: Data that changed within so many seconds are waited for, unless they are as at the last look.

    Returns:
        What was found; a run is asked for once for each change.

    Raises:
        PhytoscopeError: The data set's file is wrong, or its data cannot be read.
    """
    survey = survey_dataset(workspace, name)
    # A run that was started by hand has seen these data too.
    known = {seen.content_hash, _find_used_hash(workspace, name)}
    if survey.content_hash in known:
        return DataLook(SeenData(survey.content_hash, "", seen.changes), f"{name}: nothing has changed")
    if now - survey.changed_at < settle_seconds and survey.content_hash != seen.pending:
        waiting = SeenData(seen.content_hash, survey.content_hash, seen.changes)
        return DataLook(waiting, f"{name}: the data changed just now and may still be copied; they are waited for")
    changes = seen.changes + 1
    return DataLook(
        SeenData(survey.content_hash, "", changes),
        f"{name}: the data are new or have changed ({survey.rows} rows, {survey.labelled} with an answer)",
        # The number tells data that come back as they were once from data that never changed.
        f"{name}-{survey.content_hash[:16]}-{changes}",
    )


def look_for_retraining(workspace: Workspace, name: str) -> DataLook:
    """Whether a model that no longer fits can be trained anew, because there are rows with answers it has not seen.

    Args:
        workspace: Workspace.
        name: Name of the data set.

    Returns:
        What was found; the same drift and the same data ask for the same run.

    Raises:
        PhytoscopeError: The data set's file is wrong, or its data or the last drift report cannot be read.
    """
    report = read_last_drift(workspace, name)
    if report is None or not report.fired:
        return DataLook(SeenData(), f"{name}: no drift")
    survey = survey_dataset(workspace, name)
    before = _read_used_survey(workspace, name)
    if before is not None and (survey.content_hash == before.content_hash or survey.labelled <= before.labelled):
        return DataLook(SeenData(), f"{name}: new images differ, but no new rows with answers are there to learn from")
    fresh = survey.labelled - (0 if before is None else before.labelled)
    return DataLook(
        SeenData(survey.content_hash),
        f"{name}: new images differ, and {fresh} new rows with answers are there to learn from",
        f"{name}-drift-{report.model_id[:12]}-{report.look}-{survey.content_hash[:16]}",
    )


def survey_dataset(workspace: Workspace, name: str) -> "Survey":
    """Looks at the data of a data set.

    Raises:
        PhytoscopeError: The data set's file is wrong, or its data cannot be read.
    """
    from phytoscope.steps.survey import survey_source

    return survey_source(workspace.compose(name))


def read_last_drift(workspace: Workspace, name: str) -> DriftReport | None:
    """The report of the last look at a data set's new images; None when there was none.

    Raises:
        ArtifactError: The report cannot be read.
    """
    path = _read_handed_on(workspace, name, "drift_report").get("report")
    return DriftReport.from_dict(read_json(Path(path))) if path else None


def _find_used_hash(workspace: Workspace, name: str) -> str:
    return str(_read_handed_on(workspace, name, "raw_dataset").get("content_hash", ""))


def _read_used_survey(workspace: Workspace, name: str) -> "Survey | None":
    from phytoscope.steps.survey import Survey

    path = _read_handed_on(workspace, name, "raw_dataset").get("survey")
    return Survey.from_dict(read_json(Path(path))) if path else None


def _read_handed_on(workspace: Workspace, name: str, asset: str) -> dict[str, Any]:
    path = workspace.root / "assets" / name / f"{asset}.json"
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        message = f"{str(path)!r} is damaged: materialise the asset {asset!r} again."
        raise ArtifactError(message)
    return content
