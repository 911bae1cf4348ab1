"""What the small models of the inspection look at: labelled images, their facts, and what the columns mean."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.errors import ArtifactError
from phytoscope.schema.table import GROUP_ID, META_PREFIX, PATH, SAMPLE_ID, Task

_AGE = re.compile(r"^(plant_?)?(age|age_?(d|days|weeks)|days?|dag|das|days_after_\w+|alter)$")
_TIME = re.compile(r"^((capture|image|photo|exif)_?)?(time|timestamp|date|datetime|taken_?at|datum)$")
_TAG = re.compile(
    r"^(experiment|farmbot|robot|tray|camera|device|site|field|source|subset|station|plant_number|plot|view)"
    r"(_?(id|name|number|no|deg))?$"
)
_CONDITION = re.compile(r"^(condition|treatment|stress|genotype|accession|cultivar|variety|line)(_?(id|name))?$")


@dataclass(frozen=True)
class Skipped:
    """A check that was not done.

    Attributes:
        reason: Why not, in one sentence for a person.
    """

    reason: str


@dataclass(frozen=True)
class ColumnRoles:
    """Which of the user's columns mean what; all names as in the manifest, `meta/<name>`.

    Attributes:
        age: Age of the plant; None when no column says.
        times: When the picture was taken.
        tags: Where it comes from: experiment, robot, tray, camera, number of the plant.
        conditions: What was done to the plant, or which plant it is: treatment, genotype.
    """

    age: str | None = None
    times: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbeData:
    """Labelled images that small models are trained and scored on.

    Attributes:
        rows: One row an image, columns of the manifest (with `meta/<name>`), index counting from 0; `group_id` is the
            joined group.
        task: Whether `label` or `target` is predicted.
        facts: What is known of the image files.
        positions: Row of each image in the facts, shape (N,), int64.
        roles: Meaning of the user's columns.
        target_name: The user's own name of the target, or `class`.
        unit: Unit of the target; empty for classification.
    """

    rows: pd.DataFrame
    task: Task
    facts: ImageFacts
    positions: NDArray[np.int64]
    roles: ColumnRoles = ColumnRoles()
    target_name: str = "class"
    unit: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> pd.Series:
        """One column of the image facts, in the order of the rows."""
        values: pd.Series = self.facts.table[name].iloc[self.positions]
        return values.reset_index(drop=True)

    def take(self, chosen: NDArray[np.int64]) -> "ProbeData":
        """The images at these rows, shape (M,), int64, in this order."""
        return replace(self, rows=self.rows.iloc[chosen].reset_index(drop=True), positions=self.positions[chosen])


def build_probe_data(
    manifest: pd.DataFrame,
    groups: Iterable[Any],
    facts: ImageFacts,
    *,
    task: Task,
    max_images: int | None,
    seed: int,
    target_name: str = "class",
    unit: str = "",
) -> ProbeData:
    """Puts labelled images, their joined groups and their facts together, and draws some when there are too many.

    Args:
        manifest: One row an image, all of them readable and with an answer.
        groups: Joined group of each row.
        facts: What is known of the image files, the manifest's among them.
        task: Whether `label` or `target` is predicted.
        max_images: Most images to keep, drawn by group; all when None.
        seed: Seed of the draw.
        target_name: The user's own name of the target.
        unit: Unit of the target.

    Raises:
        ArtifactError: The facts do not hold an image of the manifest.
    """
    rows = manifest.reset_index(drop=True).assign(**{GROUP_ID: pd.Series(list(groups), dtype=object)})
    # A file that is listed twice stands twice in the facts, with the same content.
    position_of = pd.Series(np.arange(len(facts.table)), index=facts.table[PATH]).groupby(level=0).first()
    positions = position_of.reindex(rows[PATH])
    if positions.isna().any():
        missing = rows.loc[positions.isna().to_numpy(), SAMPLE_ID]
        message = f"{len(missing)} images were not looked at, for example {missing.iloc[0]!r}: inspect the data again."
        raise ArtifactError(message)
    order = positions.to_numpy(dtype=np.int64)
    data = ProbeData(rows, task, facts, order, find_roles(rows.columns), target_name, unit)
    return data.take(sample_groups(rows[GROUP_ID], max_images, seed))


def sample_groups(groups: pd.Series, max_images: int | None, seed: int) -> NDArray[np.int64]:
    """Draws whole groups at random until no more fit.

    Args:
        groups: Group of each image.
        max_images: Most images to draw; all when None.
        seed: Seed of the draw; the same seed draws the same groups everywhere.

    Returns:
        Rows that were drawn, ascending, shape (M,), int64. A group larger than `max_images` is never drawn, unless it
        is the only one.
    """
    if max_images is None or len(groups) <= max_images:
        return np.arange(len(groups), dtype=np.int64)
    codes, names = pd.factorize(groups, sort=True)
    sizes = np.bincount(codes, minlength=len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = np.zeros(len(names), dtype=bool)
    left = max_images
    for group in order:
        if sizes[group] <= left:
            chosen[group] = True
            left -= int(sizes[group])
    if not chosen.any():
        chosen[order[np.argmin(sizes[order])]] = True
    return np.flatnonzero(chosen[codes]).astype(np.int64)


def find_roles(columns: Iterable[str]) -> ColumnRoles:
    """Guesses what the user's columns mean from their usual names.

    Args:
        columns: Columns of a manifest; only those that start with `meta/` are looked at.
    """
    names = [name for name in columns if name.startswith(META_PREFIX)]

    def matching(pattern: re.Pattern[str]) -> tuple[str, ...]:
        return tuple(name for name in names if pattern.match(_plain(name)))

    ages = matching(_AGE)
    return ColumnRoles(ages[0] if ages else None, matching(_TIME), matching(_TAG), matching(_CONDITION))


def _plain(name: str) -> str:
    """A user's name in lower case with underscores, without a unit in brackets: `Age (days)` becomes `age`."""
    bare = re.sub(r"[(\[].*?[)\]]", "", name.removeprefix(META_PREFIX))
    return re.sub(r"[\s\-.]+", "_", bare.strip().lower())
