"""Batch runner: many image files in, one table out, with memory that does not grow."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import DataNotFoundError, DataValidationError, ImageReadError, suggest
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.table_writer import open_writer
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import Progress
from phytoscope.transforms.decode import IMAGE_SUFFIXES
from phytoscope.transforms.stream import map_ordered

_LIST_SUFFIXES = (".csv", ".txt")
_PATH_COLUMNS = ("path", "filename", "file", "image", "image_path", "file_name", "image_name")


def predict_files(
    predictor: Predictor,
    sources: Sequence[Path],
    output: Path,
    *,
    probs: bool = False,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress,
) -> tuple[int, int]:
    """Answers for every image and writes one row each, in the order of the input.

    An image that cannot be read becomes a row with an `error`. The output appears when it is whole.

    Args:
        predictor: The model.
        sources: Image files, folders (searched for images at any depth) and lists of paths (`.csv` with a column
            `path`, or `.txt` with one path a line; relative to the list).
        output: `.csv`, `.jsonl` or `.parquet`.
        probs: Whether to write one column a class.
        batch_size: Images a step.
        workers: Threads that read images; None takes one per core.
        progress: Told about every image.

    Returns:
        Number of images answered, and of images with an error.

    Raises:
        DataNotFoundError: A source does not exist, or no image is found.
        DataValidationError: A list has no column of paths.
        ConfigError: The extension of the output is unknown.
        StorageError: The output cannot be written.
    """
    for source in sources:
        _check_source(source)
    total = sum(1 for _ in list_images(sources))
    if total == 0:
        places = ", ".join(repr(str(source)) for source in sources)
        message = f"no image found in {places}; known extensions: {', '.join(sorted(IMAGE_SUFFIXES))}."
        raise DataNotFoundError(message)
    done = failed = 0
    progress.start("Predicting", total)
    with write_atomic(output) as temporary, open_writer(temporary, output, predictor.description, probs=probs) as write:
        prepared = map_ordered(lambda path: _prepare(predictor, path), list_images(sources), workers, progress)
        for batch in _batches(prepared, batch_size):
            rows = _answer(predictor, batch)
            write(rows)
            wrong = sum(1 for row in rows if row.error)
            failed += wrong
            done += len(rows) - wrong
    progress.finish()
    return done, failed


def list_images(sources: Iterable[Path]) -> Iterator[Path]:
    """Yields the images that the sources name, one after the other, without holding the list.

    Args:
        sources: Image files, folders and lists of paths.

    Raises:
        DataValidationError: A list has no column of paths, or is no table.
    """
    for source in sources:
        if source.is_dir():
            yield from _walk(source)
        elif source.suffix.lower() in _LIST_SUFFIXES:
            yield from _read_list(source)
        else:
            yield source


def _check_source(source: Path) -> None:
    if source.exists():
        return
    folder = source.parent if source.parent.is_dir() else Path.cwd()
    message = (
        f"there is no file or folder {str(source)!r}. In {str(folder)!r}: "
        f"{suggest(source.name, (entry.name for entry in folder.iterdir()))}"
    )
    raise DataNotFoundError(message)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(parent, name)


def _read_list(path: Path) -> Iterator[Path]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        if path.suffix.lower() == ".txt":
            yield from (path.parent / line.strip() for line in stream if line.strip())
            return
        first = stream.readline()
        separator = max(";\t,", key=first.count)
        header = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
        column = next((header.index(name) for name in _PATH_COLUMNS if name in header), None)
        if column is None:
            message = (
                f"{str(path)!r} has no column of paths: expected a header with one of {', '.join(_PATH_COLUMNS)}, got "
                f"{header}."
            )
            raise DataValidationError(message)
        try:
            for row in csv.reader(stream, delimiter=separator):
                if len(row) > column and row[column].strip():
                    yield path.parent / row[column].strip()
        except csv.Error as error:
            message = f"{str(path)!r} cannot be read as a table ({error}): save it again as CSV."
            raise DataValidationError(message) from error


_Prepared = tuple[Path, NDArray[np.uint8] | None, str]


def _prepare(predictor: Predictor, path: Path) -> _Prepared:
    try:
        return path, predictor.prepare(path), ""
    except ImageReadError as error:
        return path, None, error.reason


def _batches(items: Iterator[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    while batch := list(islice(items, size)):
        yield batch


def _answer(predictor: Predictor, batch: list[_Prepared]) -> list[Prediction]:
    squares = [pixels for _, pixels, _ in batch if pixels is not None]
    answers = iter(predictor.predict_pixels(np.stack(squares)) if squares else ())
    return [
        Prediction(_name(path), error=reason) if pixels is None else predictor.describe(_name(path), next(answers))
        for path, pixels, reason in batch
    ]


def _name(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
