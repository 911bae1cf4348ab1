"""Which class of the model a class of a further set is."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from phytoscope.configs.external import CLASS_MAP, split_class_map
from phytoscope.data.readers.spellings import fold_label
from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import LABEL, Task
from phytoscope.steps.external_sets import ExternalSet, read_external_sets

_SHOWN = 5


@dataclass(frozen=True)
class ClassMatch:
    """The classes of a further set beside those of the model.

    Attributes:
        known: Class of the set -> class of the model.
        foreign: Classes of the set that the model does not know.
        remarks: What a reader should know, in sentences.
    """

    known: dict[str, str]
    foreign: list[str]
    remarks: list[str]


def match_classes(found: ExternalSet, class_names: Sequence[str], class_map: Mapping[str, str]) -> ClassMatch:
    """Finds each class of a set among those of the model: by the settings, else by its name.

    Names are the same without regard to case, spaces and underscores.

    Args:
        found: The set.
        class_names: Classes of the model.
        class_map: Class of a set -> class of the model, as the settings say.
    """
    given = {fold_label(folder): name for folder, name in class_map.items()}
    folded = {fold_label(name): name for name in class_names}
    # A name that is one of the model's to the letter wins over one that is only spelled alike.
    folded |= {name: name for name in class_names}
    names = _list_classes(found)
    known: dict[str, str] = {}
    for name in names:
        match = given.get(fold_label(name)) or folded.get(name) or folded.get(fold_label(name))
        if match is not None:
            known[name] = match
    foreign = [name for name in names if name not in known]
    return ClassMatch(known, foreign, _word_foreign(known, foreign, class_names))


def check_class_map(sets: Sequence[ExternalSet], class_names: Sequence[str], class_map: Mapping[str, str]) -> None:
    """Makes sure that every entry of the class map is about a class of a set and one of the model.

    Args:
        sets: All further sets.
        class_names: Classes of the model.
        class_map: Class of a set -> class of the model.

    Raises:
        ConfigError: An entry names no class of any set, or none of the model; the text lists every one.
    """
    names = sorted({name for found in sets for name in _list_classes(found)})
    folded = {fold_label(name) for name in names}
    faults = [
        f"{CLASS_MAP}: no further set has a class {folder!r}; {suggest(folder, names)}"
        for folder in class_map
        if fold_label(folder) not in folded
    ]
    faults += [
        f"{CLASS_MAP}: {name!r} (for {folder!r}) is no class of the model; {suggest(name, class_names)}"
        for folder, name in class_map.items()
        if name not in class_names
    ]
    if faults:
        raise ConfigError(" ".join(faults))


def check_external(config: RunConfig, run: RunFolder | None = None) -> None:
    """Makes sure that the further sets can be read, before hours of training.

    Args:
        config: `evaluate.external`, `evaluate.class_map` and `data` are read.
        run: Its prepared data say which classes there are; None when they are not prepared, and no class is checked.

    Raises:
        PhytoscopeError: A set cannot be read, or a class is none of the set's or of the data's.
    """
    sets = read_external_sets(config)
    if run is not None and config.data.task is Task.classification and sets and run.manifest.is_file():
        class_names = sorted(pd.read_parquet(run.manifest, columns=[LABEL])[LABEL].unique())
        check_class_map(sets, class_names, split_class_map(config.evaluate.class_map))


def _list_classes(found: ExternalSet) -> list[str]:
    if LABEL not in found.rows:
        return []
    return sorted(str(name) for name in found.rows[LABEL].dropna().unique())


def _word_foreign(known: Mapping[str, str], foreign: Sequence[str], class_names: Sequence[str]) -> list[str]:
    if not foreign:
        return []
    shown = ", ".join(map(repr, foreign[:_SHOWN])) + (", ..." if len(foreign) > _SHOWN else "")
    if not known:
        start = (
            f"None of its classes ({shown}) is one of the model's: no answer can be right, only verdicts are counted."
        )
    else:
        start = f"Its classes {shown} are none of the model's: no answer can be right there."
    near = {name: found for name in foreign if (found := _find_near(name, class_names))}
    if not near:
        return [start]
    entries = ",".join(f"{name}={found}" for name, found in near.items())
    return [f"{start} If they are the same under other names, say so: {CLASS_MAP}=[{entries}]."]


def _find_near(name: str, class_names: Sequence[str]) -> str | None:
    """The one class that is probably meant; None where several or none could be."""
    own = fold_label(name)
    holding = [other for other in class_names if own in fold_label(other) or fold_label(other) in own]
    if len(holding) == 1:
        return holding[0]
    by_fold = {fold_label(other): other for other in class_names}
    close = difflib.get_close_matches(own, by_fold, n=1, cutoff=0.8)
    return by_fold[close[0]] if close else None
