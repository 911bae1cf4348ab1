"""Finds out which file a person may have meant who named one that does not exist."""

import os
import re
from pathlib import Path

import pandas as pd

from phytoscope.data.source import printable
from phytoscope.schema.table import PATH, SAMPLE_ID
from phytoscope.transforms.decode import IMAGE_SUFFIXES

# Beyond this many files a folder is not searched: it would take longer than to mend the table.
_MOST_FILES = 300_000


def suggest_files(rows: pd.DataFrame) -> list[str | None]:
    """Says for each row what to do about its missing image.

    A name that differs from a file's only by case, by its extension or by the folder it lies in is named.

    Args:
        rows: Rows whose file does not exist, columns `sample_id` and `path`.

    Returns:
        One remedy a row; None where nothing is like it.
    """
    if rows.empty:
        return []
    folders: dict[Path, dict[str, str]] = {}
    elsewhere: dict[Path, dict[str, str]] = {}
    remedies: list[str | None] = []
    for name, path in zip(rows[SAMPLE_ID], rows[PATH], strict=True):
        if re.match(r"[a-z]{2,}:/", name, re.IGNORECASE):
            remedies.append("this is a web address: download the image and write its file name")
            continue
        root = _image_folder(name, path)
        if root not in elsewhere:
            elsewhere[root] = _index_below(root)
        parent = Path(path).parent
        if parent not in folders:
            folders[parent] = _index(parent)
        found = _find(Path(path).name, folders[parent]) or _find(Path(path).name, elsewhere[root])
        remedies.append(f"did you mean {found!r}? Correct the name" if found else None)
    return remedies


def _image_folder(name: str, path: str) -> Path:
    return Path(path[: -len(name)]) if path.endswith(name) and not name.startswith("/") else Path(path).parent


def _keys(name: str) -> list[str]:
    lower = name.lower()
    stem, dot, suffix = lower.rpartition(".")
    # A name without extension matches any picture of that name, and so does one with the extension of another format.
    return [lower, stem if dot + suffix in IMAGE_SUFFIXES else lower]


def _find(name: str, index: dict[str, str]) -> str | None:
    return next((index[key] for key in _keys(name) if key in index), None)


def _index(folder: Path) -> dict[str, str]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir())
    except (OSError, ValueError):
        return {}
    return _by_key({name: printable(name) for name in names})


def _index_below(root: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for parent, folders, names in os.walk(root):
        folders.sort()
        relative = Path(parent).relative_to(root)
        files |= {str(Path(parent, name)): printable((relative / name).as_posix()) for name in sorted(names)}
        if len(files) > _MOST_FILES:
            return {}
    return _by_key(files)


def _by_key(files: dict[str, str]) -> dict[str, str]:
    index: dict[str, str] = {}
    for path, shown in files.items():
        name = path.rpartition(os.sep)[2]
        if name.lower().endswith(tuple(IMAGE_SUFFIXES)):
            for key in _keys(name):
                index.setdefault(key, shown)
    return index
