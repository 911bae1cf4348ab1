"""Ledger: records as rows of the database and files beside it, written and deleted together."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from loguru import logger
from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from phytoscope.api.records.database import Database, blames_rows
from phytoscope.api.records.deletion import Deleted, Doomed, delete_records
from phytoscope.api.records.image_store import ImageStore
from phytoscope.api.records.tables import FEEDBACK, PREDICTIONS
from phytoscope.errors import RecordNotFoundError, StorageError
from phytoscope.schema.records import FeedbackRecord, PredictionRecord

_NOT_COLUMNS: Final = ("image", "reasons")


class Ledger:
    """The records' database and the folder of photographs, as one thing.

    Attributes:
        database: Where rows are.
        images: Where photographs are; None where none are kept.
    """

    def __init__(self, database: Database, images: ImageStore | None) -> None:
        """Keeps both.

        Args:
            database: Where rows are.
            images: Where photographs are; None where none are kept.
        """
        self.database = database
        self.images = images
        self._is_ready = False

    def prepare(self) -> None:
        """Makes the tables where they are missing.

        Raises:
            ArtifactError: The database is of a newer version.
            StorageError: It cannot be reached or written.
        """
        self.database.prepare(with_folder=True)
        self._is_ready = True

    def add_predictions(self, records: Sequence[PredictionRecord]) -> tuple[int, int]:
        """Writes answers and keeps their photographs; writing the same ones again changes nothing.

        Returns:
            How many photographs could not be kept, and how many rows the database refuses for what stands in them.

        Raises:
            ArtifactError: The database is of a newer version.
            StorageError: The database cannot be written now. No row is written then.
        """
        if not self._is_ready:
            self.database.prepare()
            self._is_ready = True
        images_lost = sum(not self._keep_image(record) for record in records)
        try:
            refused = self._insert(records)
        except StorageError:
            # The file may have been deleted or replaced: the next try makes the tables again.
            self._is_ready = False
            raise
        for record in records:
            # A deletion of older records may just have taken the same photograph away.
            if self.images is not None and record.image is not None and self.images.find(record.image_sha256) is None:
                self._keep_image(record)
        return images_lost, refused

    def add_feedback(self, record: FeedbackRecord) -> None:
        """Writes what turned out to be true of an answer.

        Raises:
            RecordNotFoundError: No answer of that name is kept.
            StorageError: The database cannot be written.
        """
        with self.database.writing() as connection:
            chosen = select(PREDICTIONS.c.answer).where(PREDICTIONS.c.id == record.prediction_id)
            answer = connection.scalars(chosen).first()
            if answer is None:
                message = f"no answer {record.prediction_id!r} is kept: never given, not written yet, or deleted."
                raise RecordNotFoundError(message)
            main = next(iter(json.loads(answer).get("values") or ()), None)
            # The main number goes without its name, so that all feedback on it is found together.
            target = None if record.target == main else record.target
            connection.execute(insert(FEEDBACK), [_clean(dataclasses.asdict(record) | {"target": target})])

    def purge(self, before: datetime) -> Deleted:
        """Deletes what is older, see `delete_records`.

        Raises:
            StorageError: The database or the folder cannot be written.
        """
        return delete_records(self.database, self.images, Doomed(before=before), compact=False)

    def close(self) -> None:
        """Closes the database."""
        self.database.close()

    def _insert(self, records: Sequence[PredictionRecord]) -> int:
        if not records:
            with self.database.writing():
                return 0
        rows = [_to_row(record) for record in records]
        try:
            with self.database.writing() as connection:
                _insert_new(connection, PREDICTIONS, rows)
        except StorageError as error:
            if not blames_rows(error):
                raise
            if len(records) == 1:
                logger.warning(f"records: one answer cannot be kept: {error}")
                return 1
        else:
            return 0
        return sum(self._insert([record]) for record in records)

    def _keep_image(self, record: PredictionRecord) -> bool:
        if self.images is None or record.image is None:
            return True
        try:
            self.images.keep(record.image_sha256, record.image)
        except StorageError as error:
            logger.warning(f"records: a photograph is not kept: {error}")
            return False
        return True


def open_ledger(url: str, images: Path | None) -> Ledger:
    """Opens the records for writing; a database that cannot be reached yet is told in the log.

    Args:
        url: Address of the database.
        images: Folder of photographs; None where none are kept.

    Raises:
        ArtifactError: The database is of a newer version.
        ConfigError: The address is not one of a database.
        MissingDependencyError: What talks to the database is not installed.
    """
    ledger = Ledger(Database(url), None if images is None else ImageStore(images))
    try:
        ledger.prepare()
    except StorageError as error:
        logger.warning(f"records: {error} Answers are given all the same, and writing is tried again and again.")
    return ledger


def _to_row(record: PredictionRecord) -> dict[str, Any]:
    row = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name not in _NOT_COLUMNS
    }
    return _clean(row | {"reasons": " ".join(record.reasons)})


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """Takes out of texts what databases cannot hold."""
    return {
        key: value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
        for key, value in row.items()
    }


def _insert_new(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(table).on_conflict_do_nothing(index_elements=["id"]), list(rows))
