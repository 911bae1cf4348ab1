"""Reads a folder of class folders."""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from phytoscope.data.readers.split_names import is_split_name
from phytoscope.data.source import Fault, Source, find_folder, printable
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, SOURCE_ROW, Task
from phytoscope.storage.listing import list_place
from phytoscope.storage.place import is_url
from phytoscope.transforms.decode import IMAGE_SUFFIXES

# Files that operating systems leave everywhere; nobody wants to read about them.
_SILENT_NAMES = frozenset({"thumbs.db", "desktop.ini"})


def read_folder(config: DataConfig) -> Source:
    """Reads a folder whose sub-folders are the classes; images may lie deeper inside them.

    Args:
        config: `root` is read, and `group_pattern` when given.

    Raises:
        ConfigError: `root` is missing, or `group_pattern` is not a regular expression with a group.
        DataNotFoundError: The folder does not exist, or holds no class folder.
        DataValidationError: The folder is already split into train and test.
    """
    root = find_folder(config.root, "data.root")
    tree = _look_at_address(root) if is_url(root) else _look_at_folder(root)
    classes = list(tree.classes)
    if not classes:
        found = "is empty" if tree.is_empty else "holds files but no folder"
        message = (
            f"data.root: {str(root)!r} {found}; expected one sub-folder per class with the images of that class inside."
        )
        raise DataNotFoundError(message)
    if all(map(is_split_name, classes)):
        largest = next((name for name in classes if name.lower().startswith("train")), classes[0])
        message = (
            f"data.root: {str(root)!r} is already split ({', '.join(classes)}). To keep and check that split, "
            f"make a table of it: phytoscope data import imagefolder {shlex.quote(str(root))}. Or name one of these "
            f"folders, for example data.root={root / largest}; phytoscope draws its own split, with leaves and plants "
            "kept together."
        )
        raise DataValidationError(message)
    rows: list[dict[str, Any]] = []
    faults = [_stray(name, root) for name in tree.strays]
    for class_name, (files, unread) in tree.classes.items():
        faults += [
            Fault(printable(folder), reason, "copy the images to a folder of your own")
            for folder, reason in unread.items()
        ]
        if not files and not unread:
            faults.append(Fault(printable(class_name), "the class folder holds no image", "fill it or remove it"))
        for relative in files:
            fault = _check_name(relative)
            if fault is None:
                rows.append({SAMPLE_ID: relative, PATH: f"{root}/{relative}", LABEL: printable(class_name)})
            else:
                faults.append(fault)
    table = pd.DataFrame(rows, columns=[SAMPLE_ID, PATH, LABEL])
    table[SOURCE_ROW] = pd.array([pd.NA] * len(table), dtype="Int64")
    table[GROUP_ID] = group_by_pattern(table[SAMPLE_ID], config.group_pattern)
    return Source(table, Task.classification, "class", faults=faults)


def group_by_pattern(sample_ids: pd.Series, pattern: str | None) -> pd.Series:
    """Group ids from the images' relative paths.

    Args:
        sample_ids: Relative paths.
        pattern: Regular expression whose groups together name the plant or leaf; None gives no group.

    Returns:
        A string per image; None where the pattern does not match.

    Raises:
        ConfigError: The pattern is not a regular expression, has no group or matches no image.
    """
    if pattern is None:
        return pd.Series([None] * len(sample_ids), index=sample_ids.index, dtype=object)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        message = (
            f"data.group_pattern={pattern!r} is not a regular expression ({error}): write for example '(plant\\d+)_', "
            "with a backslash before signs such as ( . + that stand for themselves."
        )
        raise ConfigError(message) from error
    if compiled.groups == 0:
        message = (
            f"data.group_pattern={pattern!r} has no group: put parentheses around what names the plant, "
            "e.g. '(plant\\d+)_'."
        )
        raise ConfigError(message)
    matches = [compiled.search(name) for name in sample_ids]
    # Groups that matched nothing would throw all such images together.
    names = [
        "/".join(part or "" for part in match.groups()) if match and any(match.groups()) else None for match in matches
    ]
    if len(names) > 0 and all(name is None for name in names):
        message = (
            f"data.group_pattern={pattern!r} matches none of the {len(names)} images, for example "
            f"{sample_ids.iloc[0]!r}: correct it, or leave it out so that every image is a group of its own."
        )
        raise ConfigError(message)
    return pd.Series(names, index=sample_ids.index, dtype=object)


@dataclass(frozen=True)
class _Tree:
    """What lies in the folder of classes, all names relative to it.

    Attributes:
        classes: Name of each class folder -> its files, and the folders in it that are not read, with the reason.
        strays: Images beside the class folders.
        is_empty: Whether there is nothing at all.
    """

    classes: dict[str, tuple[list[str], dict[str, str]]]
    strays: list[str]
    is_empty: bool


def _look_at_folder(root: Path) -> _Tree:
    entries = sorted(root.iterdir(), key=lambda entry: entry.name)
    classes: dict[str, tuple[list[str], dict[str, str]]] = {}
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            files, unread = _walk(entry)
            reasons = {path.relative_to(root).as_posix(): reason for path, reason in unread.items()}
            classes[entry.name] = [path.relative_to(root).as_posix() for path in files], reasons
    return _Tree(classes, [entry.name for entry in entries if _is_stray(entry)], not entries)


def _look_at_address(root: Path) -> _Tree:
    classes: dict[str, tuple[list[str], dict[str, str]]] = {}
    strays: list[str] = []
    is_empty = True
    for one in list_place(root):
        is_empty = False
        first, *more = one.name.split("/")
        if not more:
            strays += [first] if PurePosixPath(first).suffix.lower() in IMAGE_SUFFIXES and not _is_silent(first) else []
        elif not any(part.startswith(".") for part in (first, *more)) and not _is_silent(more[-1]):
            classes.setdefault(first, ([], {}))[0].append(one.name)
    return _Tree(classes, strays, is_empty)


def _walk(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """Files below a folder, and the folders below it that are not read, with the reason."""
    files: list[Path] = []
    unread: dict[Path, str] = {}

    def note(error: OSError) -> None:
        unread[Path(error.filename)] = f"the folder cannot be opened: {error.strerror or error}"

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # A link may lead in a circle.
        links = [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
        unread |= dict.fromkeys(links, "a link to a folder is not followed")
        files += [Path(parent, name) for name in sorted(names) if not _is_silent(name)]
    return files, unread


def _is_silent(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SILENT_NAMES


def _is_stray(path: Path) -> bool:
    return path.is_file() and not _is_silent(path.name) and path.suffix.lower() in IMAGE_SUFFIXES


def _stray(name: str, root: Path) -> Fault:
    return Fault(
        printable(name), "the image lies in no class folder", f"move it into a class folder of {printable(root.name)!r}"
    )


def _check_name(relative: str) -> Fault | None:
    if printable(relative) != relative:
        return Fault(printable(relative), "the file name is not valid UTF-8", "rename the file")
    suffix = Path(relative).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        allowed = ", ".join(sorted(IMAGE_SUFFIXES))
        return Fault(relative, f"unknown image extension {suffix!r}", f"convert it to one of: {allowed}", value=suffix)
    return None
