"""Recorder: keeps what the service answered, without ever making an answer wait."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loguru import logger

from phytoscope.errors import PhytoscopeError, StorageError, require
from phytoscope.schema.records import FeedbackRecord, PredictionRecord, RecorderStatus

if TYPE_CHECKING:
    from phytoscope.api.records.ledger import Ledger

_BATCH: Final = 256
_MOST_BYTES: Final = 64 * 2**20
_ROW_BYTES: Final = 1000
_LINGER_S: Final = 0.05
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_QUIET_S: Final = 10.0
_DAY_S: Final = 86_400.0
_PURGE_AGAIN_S: Final = 300.0
_FEEDBACK_WAIT_S: Final = 5.0


@dataclass
class _Counts:
    written: int = 0
    lost: int = 0
    told_lost: int = 0
    images_lost: int = 0
    error: str | None = None


class Recorder:
    """Keeps answers in a database, written in batches by a thread of its own.

    What cannot be written now waits, as long as there is room; what finds no room is counted as lost, and the log says
    so. When the database comes back, writing goes on by itself.
    """

    def __init__(self, ledger: "Ledger", *, capacity: int, retention_days: float | None) -> None:
        """Starts the thread.

        Args:
            ledger: Where records are written.
            capacity: Answers that may wait.
            retention_days: Days after which records are deleted; never when None.
        """
        self._ledger = ledger
        self._capacity = capacity
        self._retention = None if retention_days is None else timedelta(days=retention_days)
        self._waiting: deque[PredictionRecord] = deque()
        self._bytes = 0
        self._in_hand: list[PredictionRecord] = []
        # Names of all that waits, so that feedback finds its answer without looking through thousands.
        self._unwritten: set[str] = set()
        self._counts = _Counts()
        self._changed = threading.Condition()
        self._closing = False
        self._given_up = False
        self._told_at = -_QUIET_S
        self._purge_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="phytoscope-records", daemon=True)
        self._thread.start()

    def note(self, records: Sequence[PredictionRecord]) -> None:
        """Takes answers to be written. It never waits and never fails; what finds no room is counted as lost."""
        with self._changed:
            for record in records:
                size = _measure(record)
                is_full = len(self._waiting) + len(self._in_hand) >= self._capacity
                if self._closing or is_full or (self._bytes > 0 and self._bytes + size > _MOST_BYTES):
                    self._counts.lost += 1
                else:
                    self._waiting.append(record)
                    self._unwritten.add(record.id)
                    self._bytes += size
            self._changed.notify_all()

    def add_feedback(self, record: FeedbackRecord) -> None:
        """Writes what turned out to be true of one answer, and returns when it is kept.

        Raises:
            RecordNotFoundError: No answer of that name is kept.
            StorageError: The database cannot be written, or the answer waits because of it.
        """
        self._await_prediction(record.prediction_id)
        self._ledger.add_feedback(record)

    def status(self) -> RecorderStatus:
        """How it goes."""
        with self._changed:
            waiting = len(self._waiting) + len(self._in_hand)
            counts = self._counts
            return RecorderStatus(counts.written, counts.lost, waiting, counts.error, counts.images_lost)

    def close(self, seconds: float) -> None:
        """Writes what waits and stops.

        Args:
            seconds: How long it may take; what still waits then is counted as lost.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(max(0.0, seconds))
        with self._changed:
            self._given_up = True
            left = len(self._waiting) + len(self._in_hand)
            self._counts.lost += left
            self._waiting.clear()
            self._in_hand = []
            self._unwritten.clear()
            self._bytes = 0
            self._changed.notify_all()
        self._tell(at_once=True)
        self._ledger.close()

    def _await_prediction(self, prediction_id: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: prediction_id not in self._unwritten, _FEEDBACK_WAIT_S):
                why = self._counts.error or "the database is slow"
                message = f"the answer {prediction_id!r} is not written yet ({why}): send the feedback again later."
                raise StorageError(message)

    def _run(self) -> None:
        pause = 0.0
        while self._take(pause):
            try:
                self._write()
                self._purge()
            except Exception as error:  # noqa: BLE001 (the border of a worker loop: records must never end the service)
                pause = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause))
                self._note_fault(str(error) if isinstance(error, PhytoscopeError) else repr(error))
            else:
                pause = 0.0
            self._tell()

    def _take(self, pause: float) -> bool:
        """Waits for work; false when there is none left and none will come."""
        with self._changed:
            if pause > 0:
                # A fault is waited out, and the last try before the end is made at once.
                self._changed.wait_for(lambda: self._closing, pause)
                if self._closing:
                    pause = 0.0
            else:
                self._changed.wait_for(lambda: bool(self._waiting) or self._closing, self._time_to_purge())
                if self._waiting and not self._closing:
                    # More will come in a moment, and one transaction for all is cheaper.
                    self._changed.wait_for(lambda: self._closing or len(self._waiting) >= _BATCH, _LINGER_S)
            while self._waiting and len(self._in_hand) < _BATCH:
                self._in_hand.append(self._waiting.popleft())
            if self._given_up:
                return False
            return bool(self._in_hand) or not self._closing

    def _time_to_purge(self) -> float | None:
        return None if self._retention is None else max(0.0, self._purge_at - time.monotonic())

    def _write(self) -> None:
        with self._changed:
            batch = list(self._in_hand)
        if not batch and self._counts.error is None:
            return
        images_lost, refused = self._ledger.add_predictions(batch)
        with self._changed:
            self._counts.images_lost += images_lost
            self._counts.error = None
            if not self._given_up:
                self._counts.written += len(batch) - refused
                self._counts.lost += refused
                self._bytes -= sum(map(_measure, batch))
                self._unwritten.difference_update(record.id for record in batch)
                self._in_hand = []
            self._changed.notify_all()

    def _purge(self) -> None:
        if self._retention is not None and time.monotonic() >= self._purge_at and not self._closing:
            # Set first: what cannot be deleted now must not keep answers from being written.
            self._purge_at = time.monotonic() + _PURGE_AGAIN_S
            self._ledger.purge(datetime.now(UTC) - self._retention)
            self._purge_at = time.monotonic() + _DAY_S

    def _note_fault(self, words: str) -> None:
        with self._changed:
            self._counts.error = words

    def _tell(self, *, at_once: bool = False) -> None:
        with self._changed:
            counts = self._counts
            lost, error, waiting = counts.lost, counts.error, len(self._waiting) + len(self._in_hand)
            is_new = error is not None or lost > counts.told_lost
            if not is_new or (not at_once and time.monotonic() - self._told_at < _QUIET_S):
                return
            self._told_at = time.monotonic()
            counts.told_lost = lost
        why = "" if error is None else f": {error}"
        logger.warning(f"records: {lost} answers lost so far, {waiting} wait to be written{why}")


def _measure(record: PredictionRecord) -> int:
    return _ROW_BYTES + len(record.answer) + (0 if record.image is None else len(record.image))


def open_recorder(url: str | None, *, images: Path | None, capacity: int, retention_days: float | None) -> Recorder:
    """Starts to keep records.

    A database that cannot be reached now is no error: it is tried again and again, and what finds no room meanwhile is
    counted as lost.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`; the user's own records when None.
        images: Folder in which photographs are kept; none are kept when None.
        capacity: Answers that may wait to be written.
        retention_days: Days after which records are deleted; never when None.

    Raises:
        ArtifactError: The database is of a newer version.
        ConfigError: The address is not one of a database.
        MissingDependencyError: What talks to the database is not installed.
    """
    require("alembic")
    from phytoscope.api.records.address import find_default_url
    from phytoscope.api.records.ledger import open_ledger

    ledger = open_ledger(find_default_url() if url is None else url, images)
    return Recorder(ledger, capacity=capacity, retention_days=retention_days)
