"""Which images the words of a user name: files, folders, and lists of paths."""

import codecs
import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from phytoscope.errors import DataNotFoundError, DataValidationError, suggest
from phytoscope.predict.source_archives import is_archive
from phytoscope.storage.fetching import fetch_place
from phytoscope.storage.listing import holds_any, list_place
from phytoscope.storage.place import as_url, is_url, open_place
from phytoscope.storage.reading import ABSENT, stat_place
from phytoscope.storage.trouble import mask_secrets
from phytoscope.transforms.decode import IMAGE_SUFFIXES

_LIST_SUFFIXES = (".csv", ".tsv", ".txt")
_OTHER_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".feather")
_SHOWN_SUFFIXES = 5
_PATH_COLUMNS = ("path", "filename", "file", "image", "image_path", "file_name", "image_name")


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
        if is_url(source):
            yield from _list_at_address(source)
        elif source.is_dir():
            closed: list[Path] = []
            yield from (path for path in _walk(source, closed) if path.suffix.lower() in IMAGE_SUFFIXES)
            yield from closed
        elif suffix in _LIST_SUFFIXES:
            yield from _read_list(source)
        elif suffix == ".parquet":
            yield from _read_parquet(source)
        elif suffix in _OTHER_TABLES:
            message = f"{str(source)!r} is neither an image nor a list of text: save the list as CSV and name that."
            raise DataValidationError(message)
        else:
            yield source


def _list_at_address(source: Path) -> Iterator[Path]:
    place = open_place(source)
    suffix = place.suffix.lower()
    if is_archive(place):
        message = f"the archive {str(place)!r} lies at an address: copy it to this computer, or unpack it there."
        raise DataValidationError(message)
    if suffix in (*_LIST_SUFFIXES, ".parquet", *_OTHER_TABLES):
        # The copy on this computer is read; names in it are relative to the address.
        local = fetch_place(source)
        yield from (_join(place.parent, path, local.parent) for path in list_images([local]))
    elif suffix in IMAGE_SUFFIXES or stat_place(source) != ABSENT:
        yield place
    else:
        for one in list_place(source):
            if not _is_hidden(one.name) and PurePosixPath(one.name).suffix.lower() in IMAGE_SUFFIXES:
                yield open_place(one.url)


def _join(folder: Path, path: Path, local: Path) -> Path:
    return folder / path.relative_to(local).as_posix() if path.is_relative_to(local) else path


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def count_skipped(sources: Iterable[Path]) -> dict[str, int]:
    """Counts the files in folders that are passed over because of their extension.

    Args:
        sources: As for `list_images`; only folders are looked at.

    Returns:
        Extension in lower case, with its dot (empty for files without one) -> number of files, most frequent first.
    """
    found: Counter[str] = Counter()
    for source in sources:
        if is_url(source):
            names = (one.name for one in list_place(source) if not _is_hidden(one.name))
            found.update(PurePosixPath(name).suffix.lower() for name in names)
        elif source.is_dir():
            found.update(path.suffix.lower() for path in _walk(source, []))
    for suffix in IMAGE_SUFFIXES:
        found.pop(suffix, None)
    return dict(found.most_common())


def word_skipped(skipped: dict[str, int]) -> str:
    """What was found in folders in place of images, in words; see `count_skipped`."""
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
    if is_url(source):
        if stat_place(source) == ABSENT and not holds_any(source):
            message = f"there is no file or folder at {mask_secrets(as_url(source) or '')!r} that you may read."
            raise DataNotFoundError(message)
        return
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


def count_unnamed(sources: Iterable[Path]) -> dict[str, int]:
    """Counts the rows of lists that hold something but no path, so that nobody knows which image is meant.

    Args:
        sources: As for `list_images`; only lists are looked at.

    Returns:
        List -> number of such rows, where there are any.

    Raises:
        DataNotFoundError: A list cannot be opened.
        DataValidationError: A list has no column of paths, or is no table of text.
    """
    readers = {".parquet": _read_cells, ".csv": _read_names, ".tsv": _read_names}
    found = {}
    for source in sources:
        read = readers.get(source.suffix.lower())
        if read is None or (not is_url(source) and source.is_dir()):
            continue
        local = fetch_place(source) if is_url(source) else source
        found[str(source)] = sum(not name for name in read(local))
    return {name: count for name, count in found.items() if count > 0}


def _read_list(path: Path) -> Iterator[Path]:
    yield from (_find_named(path.parent, name) for name in _read_names(path) if name)


def _read_names(path: Path) -> Iterator[str]:
    """The names of a list, without space around them; empty where a row has other cells only."""
    try:
        with path.open(encoding=_find_encoding(path), errors="surrogateescape", newline="") as stream:
            names = stream if path.suffix.lower() == ".txt" else _read_column(path, stream)
            yield from (name.strip() for name in names)
    except (csv.Error, UnicodeError) as error:
        message = f"{str(path)!r} cannot be read as a table ({error}): save it again as CSV (UTF-8)."
        raise DataValidationError(message) from error
    except OSError as error:
        message = f"the list {str(path)!r} cannot be read ({error.strerror or error}): check its permissions."
        raise DataNotFoundError(message) from error


def _read_column(path: Path, stream: TextIO) -> Iterator[str]:
    first = stream.readline()
    separator = max(";\t,", key=first.count)
    # Spreadsheets write which separator follows as a line of its own.
    mark = first.strip('\r\n"')
    if mark.lower().startswith("sep=") and len(mark) == len("sep=") + 1:
        separator, first = mark[-1], stream.readline()
    column = _find_column(path, next(csv.reader([first], delimiter=separator), []))
    for row in csv.reader(stream, delimiter=separator):
        # Spreadsheets write rows of nothing but separators below the last one.
        if any(cell.strip() for cell in row):
            yield row[column] if len(row) > column else ""


def _find_column(path: Path, names: list[str]) -> int:
    header = [name.strip().lower() for name in names]
    column = next((header.index(name) for name in _PATH_COLUMNS if name in header), None)
    if column is None:
        message = (
            f"{str(path)!r} has no column of paths: expected a header with one of {', '.join(_PATH_COLUMNS)}, got "
            f"{header}."
        )
        raise DataValidationError(message)
    return column


def _read_parquet(path: Path) -> Iterator[Path]:
    yield from (open_place(name) if is_url(name) else path.parent / name for name in _read_cells(path) if name)


def _read_cells(path: Path) -> Iterator[str]:
    """The names of a Parquet list, without space around them; empty where there is none."""
    try:
        with pq.ParquetFile(path) as table:
            names = table.schema_arrow.names
            column = names[_find_column(path, names)]
            for batch in table.iter_batches(columns=[column]):
                yield from ((cell or "").strip() for cell in batch.column(0).cast(pa.string()).to_pylist())
    except pa.ArrowException as error:
        message = f"{str(path)!r} cannot be read as Parquet ({error}): write it again."
        raise DataValidationError(message) from error
    except OSError as error:
        message = f"the list {str(path)!r} cannot be read ({error.strerror or error}): check its permissions."
        raise DataNotFoundError(message) from error


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
    place = open_place(name) if is_url(name) else folder / name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        # Bytes that are not UTF-8: a file name of just these bytes, else a list that was saved on Windows.
        if not place.exists():
            return folder / name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return place
