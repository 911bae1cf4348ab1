"""Batch runner: many image files in, one table out, with memory that does not grow."""

import codecs
import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from phytoscope.errors import DataNotFoundError, DataValidationError, ImageReadError, suggest
from phytoscope.predict.covariate_rows import CovariateRows
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.table_writer import open_writer
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import Progress
from phytoscope.schema.verdict import Reason
from phytoscope.transforms.decode import IMAGE_SUFFIXES
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.stream import map_ordered

_LIST_SUFFIXES = (".csv", ".tsv", ".txt")
_OTHER_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".parquet", ".feather")
_SHOWN_SUFFIXES = 5
_PATH_COLUMNS = ("path", "filename", "file", "image", "image_path", "file_name", "image_name")


@dataclass
class Tally:
    """What became of some images.

    Attributes:
        answered: Images that were answered.
        failed: Images that could not be read.
        first_error: What was wrong with the first of these, with its path; empty when there is none.
        verdicts: Verdict -> number of answers; empty where the model does not judge them.
        reasons: Reason -> number of answers for which it holds.
    """

    answered: int = 0
    failed: int = 0
    first_error: str = ""
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)

    def add(self, rows: Sequence[Prediction]) -> None:
        """Counts some answers."""
        failed = [row for row in rows if row.error]
        if failed and not self.first_error:
            self.first_error = f"{failed[0].path!r}: {failed[0].error}"
        self.failed += len(failed)
        self.answered += len(rows) - len(failed)
        self.verdicts.update(row.verdict for row in rows if row.verdict)
        for row in rows:
            self.reasons.update(row.reasons)


def predict_files(
    predictor: Predictor,
    sources: Sequence[Path],
    output: Path,
    *,
    probs: bool = False,
    batch_size: int = 32,
    workers: int | None = None,
    known: CovariateRows | None = None,
    progress: Progress,
) -> Tally:
    """Answers for every image and writes one row each, in the order of the input.

    An image or sub-folder that cannot be read becomes a row with an `error`. The output appears when it is whole.

    Args:
        predictor: The model.
        sources: Image files, folders (searched for images at any depth) and lists of paths (`.csv` or `.tsv` with a
            column `path`, or `.txt` with one path a line; relative to the list).
        output: `.csv`, `.jsonl` or `.parquet`.
        probs: Whether to write one column a class.
        batch_size: Images a step.
        workers: Threads that read images; None takes one per core.
        known: What is known of the images beside their pictures; None when nothing is.
        progress: Told about every image.

    Returns:
        What became of the images.

    Raises:
        DataNotFoundError: A source does not exist or cannot be opened, or no image is found.
        DataValidationError: A list has no column of paths, or is a table of another kind than text.
        ConfigError: The extension of the output is unknown.
        StorageError: The output cannot be written.
    """
    for source in sources:
        check_source(source)
    total = sum(1 for _ in list_images(sources))
    if total == 0:
        places = ", ".join(repr(str(source)) for source in sources)
        message = (
            f"no image found in {places}{_word_skipped(count_skipped(sources))}; known extensions: "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
        raise DataNotFoundError(message)
    tally = Tally()
    progress.start("Predicting", total)
    with write_atomic(output) as temporary, open_writer(temporary, output, predictor.description, probs=probs) as write:
        prepared = map_ordered(lambda path: _prepare(predictor, path), list_images(sources), workers, progress)
        for batch in _batches(prepared, batch_size):
            rows = _answer(predictor, batch, known)
            write(rows)
            tally.add(rows)
    progress.finish()
    return tally


def list_images(sources: Iterable[Path]) -> Iterator[Path]:
    """Yields the images that the sources name, one after the other, without holding the list.

    Sub-folders that cannot be opened follow the images of their folder, so that they are not passed over in silence.

    Args:
        sources: Image files, folders and lists of paths.

    Raises:
        DataNotFoundError: A list cannot be opened.
        DataValidationError: A list has no column of paths, or is no table of text.
    """
    for source in sources:
        suffix = source.suffix.lower()
        if source.is_dir():
            closed: list[Path] = []
            yield from (path for path in _walk(source, closed) if path.suffix.lower() in IMAGE_SUFFIXES)
            yield from closed
        elif suffix in _LIST_SUFFIXES:
            yield from _read_list(source)
        elif suffix in _OTHER_TABLES:
            message = f"{str(source)!r} is neither an image nor a list of text: save the list as CSV and name that."
            raise DataValidationError(message)
        else:
            yield source


def count_skipped(sources: Iterable[Path]) -> dict[str, int]:
    """Counts the files in folders that are passed over because of their extension.

    Args:
        sources: As for `list_images`; only folders are looked at.

    Returns:
        Extension in lower case, with its dot (empty for files without one) -> number of files, most frequent first.
    """
    found = Counter(path.suffix.lower() for source in sources if source.is_dir() for path in _walk(source, []))
    for suffix in IMAGE_SUFFIXES:
        found.pop(suffix, None)
    return dict(found.most_common())


def _word_skipped(skipped: dict[str, int]) -> str:
    words = [
        f"{suffix} files ({count})" if suffix else f"{count} without extension" for suffix, count in skipped.items()
    ]
    more = ["others"] if len(words) > _SHOWN_SUFFIXES else []
    return f": found only {', '.join(words[:_SHOWN_SUFFIXES] + more)}" if words else ""


def check_source(source: Path) -> None:
    """Refuses a source that does not exist or cannot be opened.

    Raises:
        DataNotFoundError: It does not, with the names that are like it; or it cannot.
    """
    if source.is_dir():
        try:
            os.scandir(source).close()
        except OSError as error:
            message = f"the folder {str(source)!r} cannot be opened ({error.strerror or error}): check its permissions."
            raise DataNotFoundError(message) from error
    if source.exists():
        return
    folder = source.parent if source.parent.is_dir() else Path.cwd()
    message = (
        f"there is no file or folder {str(source)!r}. In {str(folder)!r}: "
        f"{suggest(source.name, (entry.name for entry in folder.iterdir()))}"
    )
    raise DataNotFoundError(message)


def _walk(folder: Path, closed: list[Path]) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _read_list(path: Path) -> Iterator[Path]:
    try:
        with path.open(encoding=_find_encoding(path), errors="surrogateescape", newline="") as stream:
            names = stream if path.suffix.lower() == ".txt" else _read_column(path, stream)
            yield from (_find_named(path.parent, name.strip()) for name in names if name.strip())
    except (csv.Error, UnicodeError) as error:
        message = f"{str(path)!r} cannot be read as a table ({error}): save it again as CSV (UTF-8)."
        raise DataValidationError(message) from error
    except OSError as error:
        message = f"the list {str(path)!r} cannot be read ({error.strerror or error})."
        raise DataNotFoundError(message) from error


def _read_column(path: Path, stream: TextIO) -> Iterator[str]:
    first = stream.readline()
    separator = max(";\t,", key=first.count)
    # Spreadsheets write which separator follows as a line of its own.
    mark = first.strip('\r\n"')
    if mark.lower().startswith("sep=") and len(mark) == len("sep=") + 1:
        separator, first = mark[-1], stream.readline()
    header = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
    column = next((header.index(name) for name in _PATH_COLUMNS if name in header), None)
    if column is None:
        message = (
            f"{str(path)!r} has no column of paths: expected a header with one of {', '.join(_PATH_COLUMNS)}, got "
            f"{header}."
        )
        raise DataValidationError(message)
    yield from (row[column] for row in csv.reader(stream, delimiter=separator) if len(row) > column)


def _find_encoding(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    # In text, every second byte of plain letters is zero in UTF-16 only.
    if len(start) == 2 and 0 in start:
        return "utf-16-le" if start[1] == 0 else "utf-16-be"
    return "utf-8-sig"


def _find_named(folder: Path, name: str) -> Path:
    place = folder / name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        # Bytes that are not UTF-8: a file name of just these bytes, else a list that was saved on Windows.
        if not place.exists():
            return folder / name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return place


_Prepared = tuple[Path, Photo | None, str]


def _prepare(predictor: Predictor, path: Path) -> _Prepared:
    try:
        return path, predictor.prepare_photo(path), ""
    except ImageReadError as error:
        return path, None, error.reason


def _batches(items: Iterator[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    while batch := list(islice(items, size)):
        yield batch


def _answer(predictor: Predictor, batch: list[_Prepared], known: CovariateRows | None) -> list[Prediction]:
    read = [(path, photo) for path, photo, _ in batch if photo is not None]
    covariates = None if known is None or not read else np.stack([known.find(path) for path, _ in read])
    answers = iter(predictor.answer([_name(path) for path, _ in read], [photo for _, photo in read], covariates))
    return [Prediction(_name(path), error=reason) if photo is None else next(answers) for path, photo, reason in batch]


def _name(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
