"""What stands on both sides of a split: groups torn apart and copies of one picture."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import SplitError, SplitLeakageError
from phytoscope.schema.table import DUPLICATE_ID, GROUP_ID, SAMPLE_ID, SHA256, SPLIT, Split

_SHOWN = 10


class LeakKind(StrEnum):
    """What two images on both sides of a split share; the most telling first."""

    exact_copy = "exact copy"
    near_copy = "near copy"
    group = "group"


@dataclass(frozen=True)
class Leak:
    """Two images that should stand in one split and do not.

    Attributes:
        kind: What they share.
        name: Name of the group or of the cluster of copies, or the hash of the bytes.
        first_sample: Image in the earlier split (train, val, calibration, test).
        first_split: Where it stands.
        second_sample: Image in the later split.
        second_split: Where that stands.
        images: Images of that name in these two splits.
    """

    kind: LeakKind
    name: str
    first_sample: str
    first_split: str
    second_sample: str
    second_split: str
    images: int

    @property
    def text(self) -> str:
        """The leak in words for a person."""
        pair = f"{self.first_sample!r} ({self.first_split}) and {self.second_sample!r} ({self.second_split})"
        if self.kind is LeakKind.exact_copy:
            return f"{pair} are copies of the same file"
        if self.kind is LeakKind.near_copy:
            return f"{pair} show the same picture"
        return f"{pair} belong to the group {self.name!r}"


def find_leaks(manifest: pd.DataFrame, split: pd.DataFrame) -> list[Leak]:
    """Finds what stands on both sides of a split: groups, copies of a file, and copies of a picture.

    Of each name one pair is given for each split beside the earliest; a pair that is told as copies is not told again
    as a group.

    Args:
        manifest: One row an image: `sample_id`, `sha256`, `group_id` and, when known, `duplicate_id`.
        split: `sample_id` (each once), `split` and, when known, `group_id` (of joined groups). Images that it does not
            name are left out.

    Returns:
        The leaks, copies first, then by name; empty when the split is clean.
    """
    position = pd.Index(split[SAMPLE_ID].to_numpy(dtype=object)).get_indexer(manifest[SAMPLE_ID].to_numpy(dtype=object))
    order = {str(name): number for number, name in enumerate(Split)}
    of_row = split[SPLIT].map(order).fillna(-1).to_numpy(dtype=np.int64)
    parts = np.where(position >= 0, of_row[position], -1) if len(of_row) else np.full(len(manifest), -1)
    columns = [(LeakKind.exact_copy, manifest[SHA256])]
    if DUPLICATE_ID in manifest:
        columns.append((LeakKind.near_copy, manifest[DUPLICATE_ID]))
    columns.append((LeakKind.group, manifest[GROUP_ID]))
    if GROUP_ID in split:
        joined = split[GROUP_ID].to_numpy(dtype=object)[position] if len(split) else manifest[GROUP_ID]
        columns.append((LeakKind.group, pd.Series(joined, index=manifest.index)))
    found: dict[tuple[str, str], Leak] = {}
    for kind, names in columns:
        for leak in _find_torn(kind, names, parts, manifest[SAMPLE_ID]):
            found.setdefault((leak.first_sample, leak.second_sample), leak)
    return list(found.values())


def check_split(manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    """Makes sure that every image stands in one split, and nothing on both sides.

    Raises:
        SplitError: An image stands in no split, in several rows, or is not in the manifest.
        SplitLeakageError: A group or a copy of a picture stands in two splits; the text names the pairs.
    """
    # As objects, because a look-up among Arrow strings takes many times as long.
    wanted, given = (pd.Index(table[SAMPLE_ID].to_numpy(dtype=object)) for table in (manifest, split))
    once = given.drop_duplicates()
    missing = once.get_indexer(wanted) < 0
    extra = wanted.drop_duplicates().get_indexer(once) < 0
    names = [*wanted[missing], *once[extra], *given[given.duplicated()]]
    if names:
        names = sorted(map(str, names))
        message = (
            f"the split does not fit the manifest: {len(names)} images stand in only one of them, or twice in the "
            f"split: {', '.join(map(repr, names[:_SHOWN]))}. Draw it again."
        )
        raise SplitError(message)
    leaks = find_leaks(manifest, split)
    if leaks:
        message = f"the split leaks: {summarise_leaks(leaks)}. Draw it again by group."
        raise SplitLeakageError(message)


def summarise_leaks(leaks: list[Leak], limit: int = _SHOWN) -> str:
    """The first pairs in words, and how many there are in all."""
    words = "; ".join(leak.text for leak in leaks[:limit])
    more = f"; and {len(leaks) - limit} more" if len(leaks) > limit else ""
    pairs = "1 pair stands" if len(leaks) == 1 else f"{len(leaks)} pairs stand"
    return f"{pairs} on both sides: {words}{more}"


def _find_torn(kind: LeakKind, names: pd.Series, parts: NDArray[np.int64], samples: pd.Series) -> list[Leak]:
    """Pairs of one kind.

    Args:
        kind: What the names are of.
        names: What must stay together, one name an image; missing names hold nothing together.
        parts: Number of each image's split, shape (n_images,), int64; -1 for none.
        samples: The images' names.
    """
    codes, uniques = pd.factorize(names.to_numpy(dtype=object))
    known = np.flatnonzero((codes >= 0) & (parts >= 0))
    first = np.full(len(uniques), -1, dtype=np.int64)
    # Written backwards, so that the first image of each name is the one that stays.
    first[codes[known][::-1]] = parts[known][::-1]
    torn = np.zeros(len(uniques), dtype=bool)
    torn[codes[known][parts[known] != first[codes[known]]]] = True
    rows = known[torn[codes[known]]]
    table = pd.DataFrame(
        {"name": uniques[codes[rows]], "part": parts[rows], "sample": samples.to_numpy(dtype=object)[rows]}
    )
    sides = table.groupby(["name", "part"], sort=True)["sample"].agg(["min", "size"]).reset_index()
    splits = [str(name) for name in Split]
    is_first = (sides["name"] != sides["name"].shift()).to_numpy()
    earliest = np.maximum.accumulate(np.where(is_first, np.arange(len(sides)), 0))
    pairs = pd.concat(
        [sides.iloc[earliest[~is_first]].reset_index(drop=True), sides[~is_first].reset_index(drop=True)], axis=1
    )
    splits = [str(name) for name in Split]
    return [
        Leak(kind, str(name), first, splits[first_part], second, splits[second_part], int(first_images + second_images))
        for name, first_part, first, first_images, _, second_part, second, second_images in pairs.itertuples(
            index=False, name=None
        )
    ]
