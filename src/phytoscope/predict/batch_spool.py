"""Rows that wait beside the output until all of them are there, so that an interrupted prediction can go on."""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from phytoscope.errors import ArtifactError, ConfigError, PhytoscopeError, storage_error
from phytoscope.predict.batch_tally import Tally
from phytoscope.predict.source_images import FoundImage
from phytoscope.predict.table_parts import ROWS_PER_PART, hand_over, write_parts
from phytoscope.predict.table_writer import TableForm
from phytoscope.schema.artifact import find_user_cache, hash_content, read_json, write_json
from phytoscope.schema.prediction import Prediction
from phytoscope.storage.place import as_url

_STATE, _ROWS, _PARTS, _FORMAT = "state.json", "rows", "parts", 1
_SECONDS: Final = 5.0
_MOST_ROWS: Final = 20_000
"""Rows after which, or seconds, the state is written; so much is done again after a power cut."""
_ROW_GROUP: Final = 65_536


@dataclass
class Done:
    """How far a prediction got.

    Attributes:
        rows: Images that are answered.
        seen: Chained hash of their names and marks, hexadecimal.
        size_bytes: Bytes of the rows, where they are text.
        parts: Files of rows, where they are not.
        unmatched: Images for which the table of covariates has no row.
        tally: What became of the images.
    """

    rows: int = 0
    seen: str = ""
    size_bytes: int = 0
    parts: int = 0
    unmatched: int = 0
    tally: Tally = field(default_factory=Tally)

    def to_dict(self) -> dict[str, Any]:
        """The state as plain values, ready for JSON."""
        return {**vars(self), "tally": self.tally.to_dict()}


def chain_mark(seen: str, image: FoundImage) -> str:
    """Hash of all images so far, with one more."""
    text = f"{seen}\0{image.name}\0{image.mark}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@contextlib.contextmanager
def open_spool(output: Path, form: TableForm, key: str, *, fresh: bool) -> Iterator["AnswerSpool"]:
    """Opens the place beside the output where rows wait, and keeps other processes away from it.

    Args:
        output: Where the whole table shall stand.
        form: Its columns and format.
        key: Hash of everything but the images that decides the rows.
        fresh: Whether what an earlier call left is removed.

    Raises:
        ConfigError: Another process writes this output now.
        StorageError: The place cannot be written.
    """
    place = _find_spool(output)
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place / "lock", timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        message = f"another process writes {str(output)!r} now: wait for it, or choose another output."
        raise ConfigError(message) from error
    except OSError as error:
        raise storage_error(output, error) from error
    spool = AnswerSpool(place, output, form, key)
    try:
        if fresh:
            spool.clear()
        yield spool
    except PhytoscopeError:
        raise
    except OSError as error:
        raise storage_error(output, error) from error
    finally:
        spool.close()
        # Nothing was done that somebody could go on with, or everything.
        empty = not (place / _STATE).exists()
        lock.release()
        if empty:
            shutil.rmtree(place, ignore_errors=True)


def _find_spool(output: Path) -> Path:
    """Where the rows of an output wait: beside it, or for an address under the user's cache."""
    address = as_url(output)
    parent = output.parent if address is None else find_user_cache() / "outputs" / hash_content(address)[:24]
    return parent / f".{output.name}.partial"


class AnswerSpool:
    """Rows on their way into a table.

    Attributes:
        done: How far it is.
        remark: Why what an earlier call left cannot be used; empty when it can, or when there is nothing.
    """

    def __init__(self, place: Path, output: Path, form: TableForm, key: str) -> None:
        """Reads how far an earlier call came; see `open_spool`."""
        self.done = Done()
        self.remark = ""
        self._place, self._output, self._form, self._key = place, output, form, key
        self._stream: BinaryIO | None = None
        self._pending: list[pa.Table] = []
        self._unsaved = 0
        self._whole = True
        self._saved_at = time.monotonic()
        self._read()

    def _read(self) -> None:
        if not (self._place / _STATE).exists():
            return
        try:
            content = read_json(self._place / _STATE)
            if content.pop("format") != _FORMAT or content.pop("key") != self._key:
                self.remark = "an interrupted prediction used another model, other settings or another version"
                return
            done = Done(**{**content, "tally": Tally.from_dict(content["tally"])})
            rows = self._place / _ROWS
            if self._form.is_text and (not rows.is_file() or rows.stat().st_size < done.size_bytes):
                self.remark = "rows of an interrupted prediction are missing"
                return
            if not all(self._name_part(number).is_file() for number in range(done.parts)):
                self.remark = "rows of an interrupted prediction are missing"
                return
            self.done = done
        except (ArtifactError, AttributeError, KeyError, TypeError, ValueError):
            self.remark = "the state of an interrupted prediction is damaged"

    def clear(self) -> None:
        """Forgets what is there."""
        self.close()
        (self._place / _STATE).unlink(missing_ok=True)
        for path in [self._place / _ROWS, *self._place.glob("part-*")]:
            path.unlink(missing_ok=True)
        self.done = Done()

    def write(self, images: Sequence[FoundImage], rows: Sequence[Prediction], unmatched: int) -> None:
        """Adds some rows.

        Args:
            images: The images, with their marks.
            rows: Their answers.
            unmatched: How many of them have no covariates.
        """
        # Somebody may press Ctrl-C anywhere in here; a state with half of these rows must not be kept.
        self._whole = False
        for image in images:
            self.done.seen = chain_mark(self.done.seen, image)
        self.done.rows += len(rows)
        self.done.unmatched += unmatched
        self.done.tally.add(rows)
        self._unsaved += len(rows)
        if self._form.is_text:
            text = self._form.encode(rows)
            self._open().write(text)
            self.done.size_bytes += len(text)
        else:
            self._pending.append(self._form.tabulate(rows))
        self._whole = True
        if self._unsaved >= _MOST_ROWS or time.monotonic() - self._saved_at >= _SECONDS:
            self.save()

    def save(self) -> None:
        """Makes sure that the rows so far outlive a power cut; does nothing when `write` was cut short."""
        if self._unsaved == 0 or not self._whole:
            return
        if self._form.is_text:
            _flush(self._open())
        elif self._pending:
            path = self._name_part(self.done.parts)
            with path.open("wb") as stream:
                pq.write_table(pa.concat_tables(self._pending), stream)
                _flush(stream)
            self._pending = []
            self.done.parts += 1
        write_json(self._place / _STATE, {"format": _FORMAT, "key": self._key, **self.done.to_dict()})
        self._unsaved, self._saved_at = 0, time.monotonic()

    def finish(self) -> None:
        """Gives the whole table its name; an older one of that name is replaced.

        Raises:
            StorageError: The place of the output cannot be written; the rows are kept.
        """
        whole = self._place / _ROWS
        if self._form.is_text:
            stream = self._open()
            _flush(stream)
            self.close()
        elif self._form.is_folder:
            whole = self._place / _PARTS
            shutil.rmtree(whole, ignore_errors=True)
            whole.mkdir()
            write_parts(whole, self._iterate_tables(), self._form.schema, rows_per_part=ROWS_PER_PART)
        else:
            self._join(whole)
        hand_over(whole, self._output)
        self.clear()

    def _join(self, whole: Path) -> None:
        with whole.open("wb") as stream, pq.ParquetWriter(stream, self._form.schema) as writer:
            waiting: list[pa.Table] = []
            for table in self._iterate_tables():
                waiting.append(table)
                if sum(len(one) for one in waiting) >= _ROW_GROUP:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
            writer.close()
            _flush(stream)

    def _iterate_tables(self) -> Iterator[pa.Table]:
        for number in range(self.done.parts):
            yield pq.read_table(self._name_part(number), partitioning=None)
        yield from self._pending

    def close(self) -> None:
        """Lets go of the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> BinaryIO:
        if self._stream is None:
            path = self._place / _ROWS
            if self.done.size_bytes == 0:
                path.write_bytes(self._form.head())
                self.done.size_bytes = path.stat().st_size
            self._stream = path.open("rb+")
            # What was written after the last state is done again.
            self._stream.truncate(self.done.size_bytes)
            self._stream.seek(self.done.size_bytes)
        return self._stream

    def _name_part(self, number: int) -> Path:
        return self._place / f"part-{number:06d}.parquet"


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
