"""Tables that come in several files: a folder of shards, or a pattern such as `labels/part-*.parquet`."""

import fnmatch
from pathlib import Path

from phytoscope.data.source import find_file, find_folder
from phytoscope.errors import DataNotFoundError, DataValidationError
from phytoscope.storage.listing import list_names
from phytoscope.storage.place import as_local, is_url

SHARD_SUFFIXES = (".csv", ".tsv", ".parquet")


def find_table(value: str | None, key: str) -> Path:
    """Resolves a table named in the settings: a file, a folder of shards, or a pattern of file names.

    Args:
        value: What the user wrote.
        key: The setting it was written for, for the error.

    Raises:
        ConfigError: Nothing was written.
        DataNotFoundError: It does not exist or cannot be opened.
    """
    if not value:
        return find_file(value, key)
    path = Path(value)
    if "*" in path.name:
        return find_folder(value.rpartition("/")[0] or ".", key) / path.name
    is_folder = not path.suffix if is_url(value) else _is_folder(as_local(value))
    return find_folder(value, key) if is_folder else find_file(value, key)


def _is_folder(value: str) -> bool:
    try:
        return Path(value).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        # What cannot be looked up is told by the search for a file.
        return False


def list_table_shards(path: Path) -> list[Path] | None:
    """The files of a table in the order of their names; None when it is a single file.

    Args:
        path: What `find_table` gave. Hidden files and those that begin with an underscore are no shards.

    Raises:
        DataNotFoundError: There is no shard.
        DataValidationError: The shards are of several kinds.
    """
    is_pattern = "*" in path.name
    if not is_pattern and (path.suffix if is_url(path) else not path.is_dir()):
        return None
    folder, pattern = (path.parent, path.name) if is_pattern else (path, "*")
    names = list_names(folder) if is_url(folder) else [entry.name for entry in folder.iterdir() if entry.is_file()]
    shards = sorted(
        name
        for name in names
        if name[:1] not in (".", "_")
        and Path(name).suffix.lower() in SHARD_SUFFIXES
        and fnmatch.fnmatchcase(name, pattern)
    )
    if not shards:
        message = (
            f"{str(path)!r} is a folder, expected a file or a folder of tables, and it cannot be opened as one: it "
            f"holds no file that ends in {', '.join(SHARD_SUFFIXES)}."
        )
        raise DataNotFoundError(message)
    kinds = sorted({Path(name).suffix.lower() for name in shards})
    if len(kinds) > 1:
        message = (
            f"{str(path)!r} holds tables of several kinds ({', '.join(kinds)}): name those that belong together with a "
            f"pattern such as *{kinds[0]}."
        )
        raise DataValidationError(message)
    return [folder / name for name in shards]
