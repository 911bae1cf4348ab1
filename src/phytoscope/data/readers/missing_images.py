"""Finds out which file a person may have meant who named one that does not exist."""

import os
import re
import unicodedata
from itertools import islice
from pathlib import Path, PurePosixPath

import pandas as pd

from phytoscope.data.source import printable
from phytoscope.schema.table import PATH, SAMPLE_ID
from phytoscope.storage.listing import list_place
from phytoscope.storage.place import is_url
from phytoscope.transforms.decode import IMAGE_SUFFIXES

# Beyond this many files a folder is not searched: it would take longer than to mend the table.
_MOST_FILES = 300_000


def suggest_files(rows: pd.DataFrame, folder: str = "") -> list[str | None]:
    """Says for each row what to do about its missing image.

    A name that differs from a file's only by case, by its extension or by the folder it lies in is named, as it must
    stand in the table.

    Args:
        rows: Rows whose file does not exist, columns `sample_id` and `path`.
        folder: The image folder; when it is empty, each row's own is taken from its name and path.

    Returns:
        One remedy a row; None where nothing is like it.
    """
    if rows.empty:
        return []
    folders: dict[tuple[Path, Path], dict[str, str]] = {}
    elsewhere: dict[Path, dict[str, str]] = {}
    remedies: list[str | None] = []
    address = Path(folder)
    for name, path in zip(rows[SAMPLE_ID], rows[PATH], strict=True):
        if re.match(r"[a-z]{2,}:/", name, re.IGNORECASE) and not is_url(name):
            remedies.append("this is a web address: download the image and write its file name")
            continue
        if _is_link(path):
            remedies.append("the link leads nowhere: copy the image itself to this place")
            continue
        if is_url(path) and not is_url(folder):
            remedies.append("check the address, and that you may read it")
            continue
        if is_url(folder):
            if address not in elsewhere:
                elsewhere[address] = _index_address(folder)
            relative = path.removeprefix(f"{folder}/").lower()
            found = elsewhere[address].get(relative) or _find(PurePosixPath(path).name, elsewhere[address])
            remedies.append(f"did you mean {found!r}? Correct the name" if found else None)
            continue
        root = Path(folder) if folder else _image_folder(name, path)
        if root not in elsewhere:
            elsewhere[root] = _index_below(root)
        parent = Path(path).parent
        if (parent, root) not in folders:
            folders[parent, root] = _index(parent, root)
        found = _find(Path(path).name, folders[parent, root]) or _find(Path(path).name, elsewhere[root])
        remedies.append(f"did you mean {found!r}? Correct the name" if found else None)
    return remedies


def match_normal_forms(names: list[str], folder: Path) -> list[str]:
    """Spells names as their files are spelled where both differ only in how accents are encoded.

    One system writes `ä` as one character (NFC), another as two (NFD).

    Args:
        names: Names relative to the folder, with `/`, or full ones.
        folder: The image folder.

    Returns:
        The names; one whose file is found neither way stays as it is.
    """
    if is_url(folder):
        return _match_at_address(names, folder)
    listings: dict[Path, dict[str, str]] = {}
    return [name if name.isascii() else _match_normal_form(name, folder, listings) for name in names]


def _match_normal_form(name: str, folder: Path, listings: dict[Path, dict[str, str]]) -> str:
    place, spelled = Path(folder), []
    if os.path.lexists(place / name) or name.startswith("/"):
        return name
    for part in name.split("/"):
        found = part
        if not part.isascii() and not os.path.lexists(place / part):
            if place not in listings:
                listings[place] = _list_by_normal_form(place)
            found = listings[place].get(unicodedata.normalize("NFC", part), "")
        if not found:
            return name
        place /= found
        spelled.append(found)
    return "/".join(spelled)


def _match_at_address(names: list[str], folder: Path) -> list[str]:
    if all(name.isascii() or is_url(name) for name in names):
        return names
    there = [one.name for one in list_place(folder)]
    spelled = {unicodedata.normalize("NFC", name): name for name in there} | {name: name for name in there}
    return [spelled.get(name) or spelled.get(unicodedata.normalize("NFC", name), name) for name in names]


def _list_by_normal_form(folder: Path) -> dict[str, str]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except (OSError, ValueError):
        return {}
    # A name that is not valid UTF-8 cannot be written into any table.
    return {unicodedata.normalize("NFC", name): name for name in names if printable(name) == name}


def _is_link(path: str) -> bool:
    try:
        return Path(path).is_symlink()
    except (OSError, ValueError):
        return False


def _image_folder(name: str, path: str) -> Path:
    # `C:/photos/a.jpg` is the name and the path at once; its own folder is searched then, not the current one.
    is_relative = path.endswith(f"/{name}") and not name.startswith("/")
    return Path(path[: -len(name)]) if is_relative else Path(path).parent


def _keys(name: str) -> list[str]:
    lower = name.lower()
    stem, dot, suffix = lower.rpartition(".")
    # A name without extension matches any picture of that name, and so does one with the extension of another format.
    return [lower, stem if dot + suffix in IMAGE_SUFFIXES else lower]


def _find(name: str, index: dict[str, str]) -> str | None:
    return next((index[key] for key in _keys(name) if key in index), None)


def _index(folder: Path, root: Path) -> dict[str, str]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir())
    except (OSError, ValueError):
        return {}
    shown = folder.relative_to(root) if folder.is_relative_to(root) else folder
    return _by_key({name: printable((shown / name).as_posix()) for name in names})


def _index_below(root: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for parent, folders, names in os.walk(root):
        folders.sort()
        relative = Path(parent).relative_to(root)
        files |= {str(Path(parent, name)): printable((relative / name).as_posix()) for name in sorted(names)}
        if len(files) > _MOST_FILES:
            return {}
    return _by_key(files)


def _index_address(folder: str) -> dict[str, str]:
    names = [one.name for one in islice(list_place(folder), _MOST_FILES + 1)]
    return (
        {}
        if len(names) > _MOST_FILES
        else _by_key({name: name for name in names}) | {name.lower(): name for name in names}
    )


def _by_key(files: dict[str, str]) -> dict[str, str]:
    index: dict[str, str] = {}
    for path, shown in files.items():
        name = path.rpartition(os.sep)[2].rpartition("/")[2]
        if name.lower().endswith(tuple(IMAGE_SUFFIXES)):
            for key in _keys(name):
                index.setdefault(key, shown)
    return index
