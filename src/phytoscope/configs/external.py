"""Further sets as they are named in the settings: `NAME=PLACE`, and `FOLDER=CLASS` for their classes."""

import re
from collections.abc import Sequence

from phytoscope.errors import ConfigError
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import Split, Task

EXTERNAL = "evaluate.external"
CLASS_MAP = "evaluate.class_map"
# A name becomes the name of a file, and stands in the report beside those of the splits.
_NAME = re.compile(r"\w[\w-]{0,39}")


def split_external(entries: Sequence[str]) -> dict[str, str]:
    """Name of each further set -> folder or table, as it was written.

    Args:
        entries: `evaluate.external`.

    Raises:
        ConfigError: An entry is not NAME=PLACE, or a name cannot be used; the text lists every fault.
    """
    faults = _list_faults(entries)
    if faults:
        raise ConfigError("; ".join(faults) + ".")
    return {name: place for name, _, place in (entry.partition("=") for entry in entries)}


def split_class_map(entries: Sequence[str]) -> dict[str, str]:
    """Class of a further set -> class of the model.

    Args:
        entries: `evaluate.class_map`.

    Raises:
        ConfigError: An entry is not FOLDER=CLASS, or a folder is named twice; the text lists every fault.
    """
    faults = _list_map_faults(entries)
    if faults:
        raise ConfigError("; ".join(faults) + ".")
    return {folder.strip(): name.strip() for folder, _, name in (entry.partition("=") for entry in entries)}


def list_external_faults(config: RunConfig) -> list[str]:
    """What is wrong with the further sets in the settings, one text a fault; no file is looked at."""
    external, class_map = config.evaluate.external, config.evaluate.class_map
    faults = [*_list_faults(external), *_list_map_faults(class_map)]
    if class_map and config.data.task is Task.regression:
        faults.append(f"{CLASS_MAP} is for classes, but numbers are learned here")
    elif class_map and not external:
        faults.append(f"{CLASS_MAP} names classes of further sets, but {EXTERNAL} names no set")
    return faults


def _list_faults(entries: Sequence[str]) -> list[str]:
    faults, seen = [], set()
    for entry in entries:
        name, equals, place = entry.partition("=")
        if not equals or not place.strip():
            faults.append(f"{EXTERNAL}: {entry!r} must be NAME=DIR or NAME=TABLE, for example orchard=photos/orchard")
        elif _NAME.fullmatch(name) is None:
            faults.append(
                f"{EXTERNAL}: the name {name!r} must be one word of letters, digits, - and _ (40 at most), as a file "
                "is called by it"
            )
        elif name.lower() in set(Split):
            faults.append(f"{EXTERNAL}: {name!r} is the name of a split; give the set another one")
        elif name.lower() in seen:
            faults.append(f"{EXTERNAL}: two sets are called {name!r}; give one of them another name")
        seen.add(name.lower())
    return faults


def _list_map_faults(entries: Sequence[str]) -> list[str]:
    faults, seen = [], set()
    for entry in entries:
        folder, equals, name = (part.strip() for part in entry.partition("="))
        if not (equals and folder and name):
            faults.append(f"{CLASS_MAP}: {entry!r} must be FOLDER=CLASS, the set's name of a class and the model's")
        elif folder in seen:
            faults.append(f"{CLASS_MAP}: {folder!r} is named twice")
        seen.add(folder)
    return faults
