"""Groups of images that must stay together: declared groups, joined where they share a picture."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from phytoscope.schema.table import DUPLICATE_ID, GROUP_ID, LABEL, SAMPLE_ID, SHA256

ALONE_PREFIX = "image/"
"""Begins the name of the group of an image that was not declared to belong to any."""
_LARGE_SHARE = 0.2
_SHOWN = 10


@dataclass(frozen=True)
class JoinSummary:
    """What joining groups by shared pictures has done.

    Attributes:
        declared: Number of groups before; an image without a group counts as one.
        joined: Number of groups after.
        merged: Declared groups of each joined group that has more than one, by the name of the joined group; the ones
            with most members first, at most 10.
        conflicting: Names of the joined groups that merge groups with different labels, sorted.
        largest: Name of the largest joined group; empty for an empty table.
        largest_share: Its share of all images, 0-1.
        too_large: Whether the largest group was joined and holds more than 20 % of all images, so that no split can
            have the sizes asked for: a sign that copies chain together what is different.
        example: Two images of the first conflicting group that have different labels; empty when there is none.
        is_declared: Whether any image was declared to belong to a group.
    """

    declared: int
    joined: int
    merged: dict[str, list[str]]
    conflicting: list[str]
    largest: str
    largest_share: float
    too_large: bool
    example: tuple[str, ...] = ()
    is_declared: bool = True

    def to_text(self) -> str:
        """One or two sentences for a person; empty when no groups were joined."""
        if self.joined == self.declared:
            return ""
        if self.is_declared:
            text = f"{self.declared} declared groups became {self.joined}, because they share pictures."
            joins = "join groups"
        else:
            text = f"{self.declared} pictures form {self.joined} groups, because some are copies of others."
            joins = "join pictures"
        if self.conflicting:
            shown = f": for example {' and '.join(self.example)}" if self.example else ""
            text += f" {len(self.conflicting)} of them {joins} with different labels{shown}."
        if self.too_large:
            which = f"group {self.largest!r}" if self.is_declared else "largest group"
            text += f" The {which} holds {self.largest_share:.0%} of all images."
        return text


def join_groups(manifest: pd.DataFrame) -> pd.Series:
    """Joins declared groups that share a picture: connected components over groups and copies.

    Args:
        manifest: Columns `sample_id`, `group_id` and those of `sha256` and `duplicate_id` that are known. An image
            without a group is a group of its own, never one with the others that have none; the same holds for a
            missing `duplicate_id`.

    Returns:
        Names of the joined groups, on the manifest's index: the smallest declared name, or the smallest of all names
        where none is declared (those that begin with `image/`). The order of the rows does not matter.
    """
    group_of, group_names = pd.factorize(_declared_groups(manifest))
    labels = _components(
        group_of, [pd.factorize(manifest[key])[0] for key in (SHA256, DUPLICATE_ID) if key in manifest]
    )
    smallest = pd.DataFrame({"component": labels, "name": np.asarray(group_names, dtype=object)})
    smallest["alone"] = smallest["name"].str.startswith(ALONE_PREFIX).astype(bool)
    smallest = smallest.sort_values(["component", "alone", "name"]).drop_duplicates("component")
    name_of = np.empty(len(smallest), dtype=object)
    name_of[smallest["component"].to_numpy()] = smallest["name"].to_numpy()
    return pd.Series(name_of[labels[group_of]], index=manifest.index, name=GROUP_ID, dtype=object)


def summarise_joins(manifest: pd.DataFrame, joined: pd.Series) -> JoinSummary:
    """Says which declared groups `join_groups` has joined, and whether that looks wrong.

    Args:
        manifest: Columns `sample_id`, `group_id` and, for classes, `label`.
        joined: Result of `join_groups` for it.
    """
    table = pd.DataFrame({"joined": joined.to_numpy(), "declared": _declared_groups(manifest).to_numpy()})
    parts = table.drop_duplicates().sort_values(["joined", "declared"])
    counts = parts["joined"].value_counts()
    several = counts.index[counts > 1]
    ranked = sorted(several, key=lambda name: (-int(counts[name]), name))
    shown = parts[parts["joined"].isin(ranked[:_SHOWN])].groupby("joined")["declared"].agg(list)
    conflicting: list[str] = []
    example: tuple[str, ...] = ()
    if LABEL in manifest:
        labels = manifest[LABEL].to_numpy()[table["joined"].isin(several)]
        differing = pd.Series(labels).groupby(table.loc[table["joined"].isin(several), "joined"].to_numpy()).nunique()
        conflicting = sorted(differing.index[differing > 1])
        if conflicting:
            members = manifest.loc[table["joined"].to_numpy() == conflicting[0], [SAMPLE_ID, LABEL]]
            example = tuple(map(str, members.sort_values(SAMPLE_ID).drop_duplicates(LABEL)[SAMPLE_ID][:2]))
    sizes = table["joined"].value_counts()
    most = int(sizes.max()) if len(sizes) else 0
    largest = min(sizes.index[sizes == most], default="")
    share = most / max(1, len(table))
    return JoinSummary(
        declared=table["declared"].nunique(),
        joined=table["joined"].nunique(),
        merged={name: shown[name] for name in ranked[:_SHOWN]},
        conflicting=conflicting,
        largest=largest,
        largest_share=share,
        too_large=largest in set(several) and share > _LARGE_SHARE,
        example=example,
        is_declared=not table["declared"].str.startswith(ALONE_PREFIX).all(),
    )


def _declared_groups(manifest: pd.DataFrame) -> pd.Series:
    declared = manifest[GROUP_ID].astype(object)
    return declared.where(declared.notna(), ALONE_PREFIX + manifest[SAMPLE_ID].astype(object))


def _components(groups: NDArray[np.int64], copies: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Component of each group in the graph that joins groups with the pictures in them."""
    size = n_groups = int(groups.max(initial=-1)) + 1
    left, right = [], []
    for keys in copies:
        # pandas gives -1 to what is missing; such an image shares its picture with nobody.
        known = keys >= 0
        left.append(groups[known])
        right.append(keys[known] + size)
        size += int(keys.max(initial=-1)) + 1
    edges = (np.concatenate([np.empty(0, np.int64), *left]), np.concatenate([np.empty(0, np.int64), *right]))
    graph = coo_matrix((np.ones(len(edges[0]), np.int8), edges), shape=(size, size))
    components = connected_components(graph, directed=False)[1][:n_groups]
    # Numbered from 0 without gaps, because components of pictures alone are left out.
    codes: NDArray[np.int64] = np.unique(components, return_inverse=True)[1]
    return codes
