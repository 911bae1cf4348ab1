"""Deleting records so that nothing of them is left: rows, the log beside them, and photographs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, func, select

from phytoscope.api.records.database import Database
from phytoscope.api.records.image_store import ImageStore
from phytoscope.api.records.tables import FEEDBACK, PREDICTIONS
from phytoscope.errors import ConfigError

_AT_ONCE: Final = 500
_NOBODYS_AFTER_S: Final = 3600.0
"""A photograph without a record is that of an answer that still waits, unless it is older than this."""


@dataclass(frozen=True)
class Doomed:
    """Which records to delete; exactly one of the three is given.

    Attributes:
        ids: Names of answers.
        before: Answers given before this time.
        everything: All of them.
    """

    ids: tuple[str, ...] = ()
    before: datetime | None = None
    everything: bool = False


@dataclass(frozen=True)
class Deleted:
    """What was deleted.

    Attributes:
        predictions: Answers.
        feedback: What was said of them.
        images: Photographs that no other answer is about.
    """

    predictions: int
    feedback: int
    images: int


def count_doomed(database: Database, doomed: Doomed) -> int:
    """How many answers would be deleted.

    Raises:
        ConfigError: Not exactly one choice was made.
        StorageError: The database cannot be read.
    """
    with database.reading() as connection:
        chosen = select(func.count()).select_from(PREDICTIONS).where(*_choose(doomed))
        return int(connection.execute(chosen).scalar_one())


def delete_records(database: Database, images: ImageStore | None, doomed: Doomed, *, compact: bool = True) -> Deleted:
    """Deletes answers with the feedback on them and the photographs that no other answer is about.

    Rows are overwritten in the file, and the log beside it is emptied. A photograph without any answer, as a service
    that was killed may leave it, is deleted as well.

    Args:
        database: Where rows are.
        images: Where photographs are; None where none are kept.
        doomed: Which ones.
        compact: Whether to make the file smaller as well, which rewrites it.

    Raises:
        ConfigError: Not exactly one choice was made.
        StorageError: The database or the folder cannot be written; what was deleted before stays deleted.
    """
    conditions = _choose(doomed)
    n_predictions = n_feedback = n_images = 0
    while True:
        with database.writing() as connection:
            rows = connection.execute(
                select(PREDICTIONS.c.id, PREDICTIONS.c.image_sha256).where(*conditions).limit(_AT_ONCE)
            ).all()
            ids = [row.id for row in rows]
            n_feedback += connection.execute(delete(FEEDBACK).where(FEEDBACK.c.prediction_id.in_(ids))).rowcount
            connection.execute(delete(PREDICTIONS).where(PREDICTIONS.c.id.in_(ids)))
        if not rows:
            break
        n_predictions += len(rows)
        if images is not None:
            n_images += _delete_images(database, images, sorted({row.image_sha256 for row in rows}))
    if images is not None:
        age = 0.0 if doomed.everything else _NOBODYS_AFTER_S
        for hashes in _group(images.older_than(age)):
            n_images += _delete_images(database, images, hashes)
    if n_predictions and compact:
        database.compact()
    elif n_predictions:
        database.forget()
    return Deleted(n_predictions, n_feedback, n_images)


def _choose(doomed: Doomed) -> list[ColumnElement[bool]]:
    if (len(doomed.ids) > 0) + (doomed.before is not None) + doomed.everything != 1:
        message = "say which records to delete in one way: by their names, by a time, or all."
        raise ConfigError(message)
    if doomed.everything:
        return []
    if doomed.before is not None:
        return [PREDICTIONS.c.at < doomed.before]
    return [PREDICTIONS.c.id.in_(doomed.ids)]


def _delete_images(database: Database, images: ImageStore, hashes: Sequence[str]) -> int:
    with database.reading() as connection:
        still_named = _find_named(connection, hashes)
    return sum(images.delete(sha256) for sha256 in hashes if sha256 not in still_named)


def _find_named(connection: Connection, hashes: Sequence[str]) -> set[str]:
    found = connection.execute(
        select(PREDICTIONS.c.image_sha256).where(PREDICTIONS.c.image_sha256.in_(hashes)).distinct()
    )
    return {row.image_sha256 for row in found}


def _group(hashes: Iterator[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for sha256 in hashes:
        group.append(sha256)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group
