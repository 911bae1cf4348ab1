"""Reading records: single answers, and answers joined with what turned out to be true of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Result, Select, select

from phytoscope.api.records.database import Database
from phytoscope.api.records.tables import FEEDBACK, PREDICTIONS
from phytoscope.errors import RecordNotFoundError

_SHORTEST_ID = 6


@dataclass(frozen=True)
class Wanted:
    """Which answers to read.

    Attributes:
        model: Name or hash of the model; any when None.
        verdict: Verdict; any when None.
        since: Given at this time or later; any when None.
        feedback_only: Whether only those of which something turned out to be true.
    """

    model: str | None = None
    verdict: str | None = None
    since: datetime | None = None
    feedback_only: bool = False


@dataclass(frozen=True)
class Judged:
    """One answer and what turned out to be true of it.

    Attributes:
        prediction: Column of the table of answers -> value.
        feedback: The same of each feedback on it, the oldest first.
    """

    prediction: dict[str, Any]
    feedback: list[dict[str, Any]] = field(default_factory=list)

    @property
    def newest(self) -> dict[str | None, dict[str, Any]]:
        """Target (None for a class or the main number) -> the feedback that counts."""
        return {entry["target"]: entry for entry in self.feedback if is_truth(entry)}


def is_truth(entry: dict[str, Any]) -> bool:
    """Whether a feedback says what is true, beside what a person wrote."""
    return entry["label"] is not None or entry["value"] is not None


def list_newest(database: Database, wanted: Wanted, limit: int) -> list[Judged]:
    """The newest answers, the newest one first.

    Args:
        database: Where they are.
        wanted: Which ones.
        limit: How many at most.

    Raises:
        StorageError: The database cannot be read.
    """
    with database.reading() as connection:
        newest = (
            select(PREDICTIONS.c.id)
            .where(*choose_rows(wanted))
            .order_by(PREDICTIONS.c.at.desc(), PREDICTIONS.c.id)
            .limit(limit)
        )
        ids = connection.scalars(newest).all()
        found = list(_gather(connection.execute(_join().where(PREDICTIONS.c.id.in_(ids)))))
    return found[::-1]


def iterate_records(database: Database, wanted: Wanted) -> Iterator[Judged]:
    """All answers, the oldest one first, read a few at a time.

    Args:
        database: Where they are.
        wanted: Which ones.

    Raises:
        StorageError: The database cannot be read.
    """
    with database.reading() as connection:
        rows = connection.execution_options(yield_per=500).execute(_join().where(*choose_rows(wanted)))
        yield from _gather(rows)


def find_record(database: Database, name: str) -> Judged:
    """One answer.

    Args:
        database: Where it is.
        name: Its name, or the beginning of it, 6 digits or more.

    Raises:
        RecordNotFoundError: There is none, or several begin like this.
        StorageError: The database cannot be read.
    """
    with database.reading() as connection:
        chosen = (
            PREDICTIONS.c.id.startswith(name, autoescape=True)
            if len(name) >= _SHORTEST_ID
            else PREDICTIONS.c.id == name
        )
        ids = connection.scalars(select(PREDICTIONS.c.id).where(chosen).limit(2)).all()
        found = list(_gather(connection.execute(_join().where(PREDICTIONS.c.id.in_(ids)))))
    if len(found) == 1:
        return found[0]
    why = "several answers begin with this" if found else "no answer of this name is kept"
    message = f"{name!r}: {why}; `phytoscope records list` shows the names (their first {_SHORTEST_ID} digits suffice)."
    raise RecordNotFoundError(message)


def choose_rows(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Conditions on rows of the table of answers."""
    chosen: list[ColumnElement[bool]] = []
    if wanted.model is not None:
        chosen.append((PREDICTIONS.c.model_name == wanted.model) | (PREDICTIONS.c.model_id == wanted.model))
    if wanted.verdict is not None:
        chosen.append(PREDICTIONS.c.verdict == wanted.verdict)
    if wanted.since is not None:
        chosen.append(PREDICTIONS.c.at >= wanted.since)
    if wanted.feedback_only:
        chosen.append(PREDICTIONS.c.id.in_(select(FEEDBACK.c.prediction_id)))
    return chosen


def _join() -> Select[*tuple[Any, ...]]:
    named = [column.label(f"feedback_{column.name}") for column in FEEDBACK.c]
    return (
        select(PREDICTIONS, *named)
        .select_from(PREDICTIONS.outerjoin(FEEDBACK))
        .order_by(PREDICTIONS.c.at, PREDICTIONS.c.id.desc(), FEEDBACK.c.at, FEEDBACK.c.id)
    )


def _gather(rows: Result[*tuple[Any, ...]]) -> Iterator[Judged]:
    """Rows of the join, those of one answer put together; they stand one after the other."""
    current: Judged | None = None
    for row in rows.mappings():
        if current is None or current.prediction["id"] != row["id"]:
            if current is not None:
                yield current
            current = Judged({column.name: row[column.name] for column in PREDICTIONS.c})
        if row["feedback_id"] is not None:
            current.feedback.append({column.name: row[f"feedback_{column.name}"] for column in FEEDBACK.c})
    if current is not None:
        yield current
