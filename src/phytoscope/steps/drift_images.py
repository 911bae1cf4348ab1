"""New images of a monitor: which ones are new, what belongs together, and what the model says of them."""

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.cells import canonical_text
from phytoscope.data.readers.covariate_table import read_covariate_table
from phytoscope.data.readers.covariates import map_unique
from phytoscope.data.readers.group_names import name_groups
from phytoscope.data.readers.read_folder import group_by_pattern
from phytoscope.data.readers.read_labels import find_image_column
from phytoscope.data.readers.read_table import TABLE_SUFFIXES, find_column, read_table
from phytoscope.data.source import find_file
from phytoscope.errors import ConfigError, DataNotFoundError, ImageReadError, PackageError
from phytoscope.evaluate.answers import judge_table
from phytoscope.predict.covariate_rows import CovariateRows
from phytoscope.predict.prediction_table import tabulate_observed
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.reference_files import round_features
from phytoscope.predict.sources import check_source, count_skipped, list_images
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import MODEL_ID, PATH, SHA256
from phytoscope.steps.drift_hashes import FileHashes
from phytoscope.steps.drift_names import NamedRows
from phytoscope.steps.drift_parts import AnsweredImages
from phytoscope.steps.external_sets import find_image_folder
from phytoscope.transforms.decode import IMAGE_SUFFIXES, read_bytes
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.stream import map_ordered
from phytoscope.trust.observed import Observed

PART_IMAGES = 512
"""Images that are answered before they are kept: what an interruption can cost."""


@dataclass(frozen=True)
class FoundImages:
    """Files that were named, by their content.

    Attributes:
        rows: One row a new image: `path`, `sha256`; copies stand there once.
        n_known: Files that were seen before.
        n_own: Files that the model learned from or was measured on; they are left out.
        n_copies: Files with the same content as another one of them.
        unreadable: Path and reason of each file that cannot be opened.
    """

    rows: pd.DataFrame
    n_known: int = 0
    n_own: int = 0
    n_copies: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()


def find_new_images(
    sources: Sequence[Path], seen: set[str], hashes: FileHashes, workers: int | None, progress: Progress
) -> FoundImages:
    """Reads all files that are named and says which of them nobody has seen yet.

    Args:
        sources: Folders, images, lists of paths (`.txt`), and tables with a column of image names.
        seen: SHA-256 of what was seen before.
        hashes: Hashes of files that did not change since they were read last.
        workers: Threads; None takes one per core.
        progress: Told about every file.

    Raises:
        DataNotFoundError: A source does not exist or cannot be opened, or no image is found.
        ConfigError: A table has no column of image names.
        DataValidationError: A table cannot be read.
    """
    for source in sources:
        check_source(source)
    paths = [path.absolute() for source in sources for path in _list_files(source)]
    if not paths:
        places = ", ".join(repr(str(source)) for source in sources)
        others = "".join(
            f"; {count} files of type {kind!r}" for kind, count in list(count_skipped(sources).items())[:3]
        )
        message = f"no image found in {places}{others}; known extensions: {', '.join(sorted(IMAGE_SUFFIXES))}."
        raise DataNotFoundError(message)
    progress.start("Reading files", len(paths))
    rows: dict[str, str] = {}
    unreadable = []
    known = copies = 0
    now_ns = time.time_ns()

    def find_hash(path: Path) -> tuple[str, str]:
        try:
            # No table could hold such a name.
            str(path).encode()
            return hashes.hash_file(path, now_ns), ""
        except UnicodeEncodeError:
            return "", "its name is no text in UTF-8; rename the file"
        except ImageReadError as error:
            return "", error.reason

    for path, (digest, reason) in zip(paths, map_ordered(find_hash, paths, workers, progress), strict=True):
        if reason:
            unreadable.append((os.fsencode(path).decode("utf-8", "backslashreplace"), reason))
        elif digest in seen:
            known += 1
        elif digest in rows:
            copies += 1
        else:
            rows[digest] = str(path)
    progress.finish()
    table = pd.DataFrame({PATH: list(rows.values()), SHA256: list(rows)}, dtype=object)
    return FoundImages(table, known, n_copies=copies, unreadable=tuple(unreadable))


def is_table(source: Path) -> bool:
    """Whether a source is a table that names images, and no folder, image or plain list."""
    return source.suffix.lower() in TABLE_SUFFIXES and source.suffix.lower() != ".txt" and not source.is_dir()


def _list_files(source: Path) -> Iterator[Path]:
    if not is_table(source):
        yield from list_images([source])
        return
    table = read_table(source)
    column = find_image_column(table, None)
    folder = find_image_folder(table, column, source, DataConfig())
    yield from (folder / name.replace("\\", "/") for name in map_unique(table[column], canonical_text).dropna())


def name_image_groups(
    rows: pd.DataFrame, table: Path | None, columns: Sequence[str], pattern: str | None, few: int
) -> tuple[pd.Series, str]:
    """Says which images belong together.

    Args:
        rows: `path` and `sha256` of each image.
        table: Table with file names and the columns; None for none.
        columns: Columns that name the group together.
        pattern: Regular expression that finds the group in the path; not together with columns.
        few: A pattern that fits none of fewer images than these is no error: they may be strays.

    Returns:
        Name of each image's group, its own hash where nothing names one; and what a reader should know, or nothing.

    Raises:
        ConfigError: A column is not there, columns are named without a table, or the pattern fits nothing.
        PhytoscopeError: The table cannot be read.
    """
    alone = rows[SHA256].astype(object)
    if columns and pattern is not None:
        message = "--group-by and --group-pattern both say what belongs together: leave one of them out."
        raise ConfigError(message)
    if pattern is not None and not rows.empty:
        return _group_by_pattern(rows, pattern, few)
    if not columns or rows.empty:
        return alone, ""
    if table is None:
        message = f"--group-by {columns[0]!r} names a column, but there is no table: add --table FILE."
        raise ConfigError(message)
    content = read_table(find_file(str(table), "--table"))
    names = map_unique(content[find_image_column(content, None)], canonical_text)
    groups = name_groups(content, [find_column(content, name, "--group-by") for name in columns])
    given = groups[names.notna()].tolist()
    places = NamedRows([str(name) for name in names.dropna()]).find_all(rows[PATH])
    found = pd.Series([None if place is None else given[place] for place in places], index=rows.index, dtype=object)
    absent = int(found.isna().sum())
    said = f"{table}: names no group for {absent} of the {len(rows)} new images; each is a group of its own"
    return found.where(found.notna(), alone), said if absent else ""


def _group_by_pattern(rows: pd.DataFrame, pattern: str, few: int) -> tuple[pd.Series, str]:
    alone, paths = rows[SHA256].astype(object), rows[PATH].map(lambda path: Path(path).as_posix())
    end = f"of {len(rows)} new images; each is a group of its own"
    try:
        # No path at all tells a pattern that cannot work from one that fits none of the images.
        group_by_pattern(paths.iloc[:0], pattern)
        if len(rows) < few and not any(re.search(pattern, path) for path in paths):
            return alone, f"{pattern!r} finds no plant in the names {end}"
        found = group_by_pattern(paths, pattern)
    except ConfigError as error:
        raise ConfigError(str(error).replace("data.group_pattern=", "--group-pattern ")) from error
    absent = int(found.isna().sum())
    return found.where(found.notna(), alone), f"{pattern!r} finds no plant in {absent} {end}" if absent else ""


def read_known(predictor: Predictor, table: Path | None) -> CovariateRows | None:
    """Reads what the model sees beside the images; None when it sees nothing, or there is no table.

    Raises:
        PhytoscopeError: The table cannot be read.
    """
    encoder = predictor.meaning.covariates
    if encoder is None or table is None:
        return None
    found = read_covariate_table(find_file(str(table), "--table"), encoder.names)
    return CovariateRows(encoder, found.images, found.columns)


_Prepared = tuple[int, Photo | None, str]


@dataclass(frozen=True)
class _Read:
    """Images that could be read, and what was seen of them."""

    places: list[int]
    observed: list[Observed]
    features: list[NDArray[np.float32]]


class ImageAnswers:
    """Answers for images of a table, part by part.

    Attributes:
        unreadable: Path and reason of each image that could not be decoded so far.
    """

    def __init__(self, predictor: Predictor, known: CovariateRows | None, batch_size: int, workers: int | None) -> None:
        """Answers nothing yet.

        Args:
            predictor: The model, which must judge its answers.
            known: What is known of the images beside their pictures.
            batch_size: Images a step.
            workers: Threads that read images; None takes one per core.

        Raises:
            PackageError: The model does not judge its answers.
        """
        if predictor.trust is None:
            message = (
                "the package holds nothing to judge its answers by, as it was made by an earlier version: "
                "`phytoscope evaluate` and `phytoscope package` with paths.run_dir=RUN add it."
            )
            raise PackageError(message)
        self._predictor, self._trust = predictor, predictor.trust
        self._known, self._batch_size, self._workers = known, batch_size, workers
        self.unreadable: list[tuple[str, str]] = []

    def answer_parts(self, rows: pd.DataFrame, progress: Progress) -> Iterator[AnsweredImages]:
        """Answers for the images of a table.

        Args:
            rows: `path`, `sha256` and `group_id` of each image.
            progress: Told about every image.

        Yields:
            Some of the images with their answers, in order; those that cannot be decoded are left out.
        """
        progress.start("Answering", len(rows))
        for start in range(0, len(rows), PART_IMAGES):
            part = rows.iloc[start : start + PART_IMAGES].reset_index(drop=True)
            answered = self._answer_part(part, progress)
            if answered is not None:
                yield answered
        progress.finish()

    def _answer_part(self, rows: pd.DataFrame, progress: Progress) -> AnsweredImages | None:
        paths, hashes = rows[PATH].tolist(), rows[SHA256].tolist()
        prepared = map_ordered(
            lambda place: self._prepare(place, paths[place], hashes[place]), range(len(paths)), self._workers, progress
        )
        read = _Read([], [], [])
        while batch := list(islice(prepared, self._batch_size)):
            self._look(batch, paths, read)
        if not read.places:
            return None
        known = rows.iloc[read.places].reset_index(drop=True)
        description = self._predictor.description
        table = pd.concat([known, tabulate_observed(self._predictor, read.observed)], axis=1)
        more = [target.name for target in self._predictor.meaning.targets[1:]]
        table = judge_table(table, self._trust, description.class_names, more).assign(
            **{MODEL_ID: description.model_id}
        )
        features = round_features(np.concatenate(read.features)).astype(np.float32)
        # A picture of one grey may leave numbers behind that are none, with which nothing can be compared.
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(features).all(axis=1))
        self.unreadable += [(path, "the network has no answer for it") for path in known[PATH][~finite]]
        kept = table.loc[finite].reset_index(drop=True)
        return AnsweredImages(kept, features[finite]) if len(kept) > 0 else None

    def _prepare(self, place: int, path: str, digest: str) -> _Prepared:
        try:
            content = read_bytes(Path(path))
            # Else the answer for a file that is still being written would stand for what it held before.
            if hashlib.sha256(content).hexdigest() != digest:
                return place, None, "the file changed while it was read"
            return place, self._predictor.prepare_photo(content, path), ""
        except ImageReadError as error:
            return place, None, error.reason

    def _look(self, batch: list[_Prepared], paths: list[str], read: _Read) -> None:
        self.unreadable += [(paths[place], reason) for place, photo, reason in batch if photo is None]
        photos = [(place, photo) for place, photo, _ in batch if photo is not None]
        if not photos:
            return
        covariates = None
        if self._known is not None:
            covariates = np.stack([self._known.find(Path(paths[place])) for place, _ in photos])
        sizes = np.array([(photo.width_px, photo.height_px) for _, photo in photos], dtype=np.int64)
        pixels = np.stack([photo.square for _, photo in photos])
        observed, features = self._predictor.observe_features(pixels, covariates, sizes)
        read.places.extend(place for place, _ in photos)
        read.observed.append(observed)
        read.features.append(features)
