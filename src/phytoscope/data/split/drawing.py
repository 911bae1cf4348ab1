"""The split: drawn once, by group, read everywhere."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.copies.groups import join_groups
from phytoscope.data.split.deal import count_groups, deal_groups
from phytoscope.data.split.leaks import check_split, find_leaks, summarise_leaks
from phytoscope.data.split.ledger import UNKNOWN, find_known_parts
from phytoscope.data.split.official_split import read_official_column
from phytoscope.data.split.strata import Strata, code_strata
from phytoscope.errors import SplitError, SplitLeakageError
from phytoscope.schema.data_config import SplitConfig
from phytoscope.schema.table import FOLD, GROUP_ID, LABEL, SAMPLE_ID, SPLIT, SPLIT_COLUMNS, TARGET, Split, Task

NO_FOLD = -1
"""Fold of the test images: they choose nothing."""
_SPLITS = [str(name) for name in Split]
_REPORTED_QUANTILES = 4


@dataclass(frozen=True)
class ThinStratum:
    """A class, or a range of the target, that does not stand in every split.

    Attributes:
        stratum: Name of the class, or range of the target's mean over each group.
        images: Images of it.
        groups: Groups that hold it.
        missing: Splits without it.
        text: What that means, in one sentence.
    """

    stratum: str
    images: int
    groups: int
    missing: tuple[str, ...]
    text: str


def split_by_group(
    manifest: pd.DataFrame, task: Task, config: SplitConfig, seed: int, ledger: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Draws train, val, calibration and test so that no group and no copy of a picture stands in two of them.

    Groups that share a copy are joined first. They are dealt out large ones first, each to the split that is furthest
    behind its share of the group's stratum (class, or quantile of the target's mean over the group). Sizes are off
    by at most about the two largest groups; a class with at least 1 / share groups stands in the split with that share
    if none of its groups holds other classes too.

    With `config.column`, the split in that column of the user is checked and kept as it is; of val, calibration and
    test, those that it does not name and whose share is above 0 are drawn by group from its train part. Shares always
    are of all images.

    Args:
        manifest: One row an image.
        task: Stratify by class or by quantile of the target.
        config: Shares of the splits, number of folds, column with an official split.
        seed: Seed of the order in which groups of like size are dealt out; the same seed gives the same split
            everywhere, whatever the order of the rows.
        ledger: Where groups stood before (see `read_ledger`): they stay there, and new ones are dealt so that the
            shares of all come as close to what is asked for as they can. Not read with `config.column`.

    Returns:
        Columns `sample_id`, `group_id` (of the joined group), `split`, `fold` (from 0, for cross-validation by group
        on all that is not test; -1 in test).

    Raises:
        ConfigError: There is no such column as `config.column`.
        SplitError: There are fewer groups than splits, or the official split cannot be understood.
        SplitLeakageError: The official split tears groups or copies apart; the text names the pairs.
    """
    strata = code_strata(manifest, join_groups(manifest), task)
    everywhere = task is Task.classification
    if config.column is None:
        shares = {"train": 1 - config.val - config.calibration - config.test, **_shares(config)}
        known = np.full(len(strata.group_names), UNKNOWN, dtype=np.int64)
        if ledger is not None and len(ledger) > 0:
            known = find_known_parts(ledger, manifest, strata.groups)
        split_of_group = _deal_new(strata, known, shares, seed, everywhere)
        parts = split_of_group[strata.groups]
    else:
        parts = _complete_official(manifest, strata, config, seed, everywhere)
        split_of_group = np.zeros(len(strata.group_names), dtype=np.int64)
        split_of_group[strata.groups] = parts
    # Folds are for choosing between models, so the test groups have no part in them.
    learned = split_of_group != _SPLITS.index(Split.test)
    counts = count_groups(strata.groups, strata.strata, len(strata.group_names)).of(learned)
    n_folds = min(config.folds, counts.n_groups)
    folds = np.full(len(strata.group_names), NO_FOLD, dtype=np.int64)
    folds[learned] = deal_groups(counts, [1 / n_folds] * n_folds, seed)
    table = _to_table(manifest, strata, parts, folds)
    check_split(manifest, table)
    return table


def summarise_split(manifest: pd.DataFrame, split: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Counts each class, or quarter of the target, in each split.

    Args:
        manifest: One row an image.
        split: What `split_by_group` drew.
        task: Classes or quarters of the target's mean over each group.

    Returns:
        Columns `stratum`, `split`, `images`, `groups`; one row for each stratum and each split that the split has,
        those with 0 images too, in the order of the strata and of train, val, calibration, test.
    """
    table = manifest[[SAMPLE_ID, LABEL, TARGET]].merge(split[[SAMPLE_ID, GROUP_ID, SPLIT]], on=SAMPLE_ID)
    strata = code_strata(table, table[GROUP_ID], task, _REPORTED_QUANTILES)
    present = [name for name in _SPLITS if (table[SPLIT] == name).any()]
    part = pd.Index(present).get_indexer(pd.Index(table[SPLIT])).astype(np.int64)
    cells = strata.strata * len(present) + part
    n_cells = len(strata.stratum_names) * len(present)
    once = np.unique(cells * len(strata.group_names) + strata.groups) // max(len(strata.group_names), 1)
    return pd.DataFrame(
        {
            "stratum": np.repeat(np.array(strata.stratum_names, dtype=object), len(present)),
            SPLIT: present * len(strata.stratum_names),
            "images": np.bincount(cells, minlength=n_cells),
            "groups": np.bincount(once, minlength=n_cells),
        }
    )


def find_thin_strata(manifest: pd.DataFrame, split: pd.DataFrame, task: Task) -> list[ThinStratum]:
    """Finds classes, or quarters of the target, that are missing from a split because they have too few groups.

    Args:
        manifest: One row an image.
        split: What `split_by_group` drew.
        task: Classes or quarters of the target's mean over each group.

    Returns:
        Those that are missing somewhere, in the order of the strata; empty when all stand everywhere.
    """
    summary = summarise_split(manifest, split, task)
    thin = []
    for stratum, rows in summary.groupby("stratum", sort=False):
        missing = tuple(rows.loc[rows["images"] == 0, SPLIT])
        if missing:
            images, groups = int(rows["images"].sum()), int(rows["groups"].sum())
            text = _describe_thin(str(stratum), images, groups, missing, task)
            thin.append(ThinStratum(str(stratum), images, groups, missing, text))
    return thin


def _shares(config: SplitConfig) -> dict[str, float]:
    return {"val": config.val, "calibration": config.calibration, "test": config.test}


def _deal(
    strata: Strata, keep: NDArray[np.bool_], shares: dict[str, float], seed: int, everywhere: bool
) -> NDArray[np.int64]:
    """Number of the split of each group, in the order of `Split`; -1 for groups that are not dealt."""
    wanted = {name: share for name, share in shares.items() if round(share, 9) > 0}
    counts = count_groups(strata.groups, strata.strata, len(strata.group_names)).of(keep)
    if counts.n_groups < len(wanted):
        message = (
            f"the data have {counts.n_groups} groups, but the splits {', '.join(wanted)} need at least {len(wanted)}: "
            "add plants or leaves, set the share of a split to 0 (data.split.calibration=0), or check data.group_by."
        )
        raise SplitError(message)
    # `sum` rounds otherwise in newer Pythons.
    total = math.fsum(wanted.values())
    dealt = deal_groups(counts, [share / total for share in wanted.values()], seed, everywhere=everywhere)
    parts = np.full(len(keep), -1, dtype=np.int64)
    parts[keep] = np.array([_SPLITS.index(name) for name in wanted], dtype=np.int64)[dealt]
    return parts


def _deal_new(
    strata: Strata, known: NDArray[np.int64], shares: dict[str, float], seed: int, everywhere: bool
) -> NDArray[np.int64]:
    """Number of the split of each group: groups that are known stay, and the others fill up what is missing."""
    is_new = known == UNKNOWN
    if is_new.all():
        return _deal(strata, is_new, shares, seed, everywhere)
    if not is_new.any():
        return known
    sizes = np.bincount(strata.groups, minlength=len(known))
    missing = {
        name: max(0.0, share * float(sizes.sum()) - float(sizes[known == _SPLITS.index(name)].sum()))
        for name, share in shares.items()
        if round(share, 9) > 0
    }
    wanted = {name: gap for name, gap in missing.items() if gap > 0}
    if len(wanted) > is_new.sum():
        # Few plants go where most is missing.
        most = sorted(wanted, key=lambda name: -wanted[name])[: int(is_new.sum())]
        wanted = {name: wanted[name] for name in wanted if name in most}
    if not wanted:
        wanted = {str(Split.train): 1.0}
    total = math.fsum(wanted.values())
    dealt = _deal(strata, is_new, {name: gap / total for name, gap in wanted.items()}, seed, everywhere)
    return np.where(is_new, dealt, known)


def _complete_official(
    manifest: pd.DataFrame, strata: Strata, config: SplitConfig, seed: int, everywhere: bool
) -> NDArray[np.int64]:
    official = read_official_column(manifest, str(config.column))
    given = pd.DataFrame({SAMPLE_ID: manifest[SAMPLE_ID], SPLIT: official})
    # Rejected rows are in no split, so what they share with others spoils no score; an inspection tells of them.
    leaks = find_leaks(manifest, given)
    if leaks:
        message = (
            f"the official split in column {config.column!r} leaks: {summarise_leaks(leaks)}. Put both images of a "
            "pair into one split, or leave out data.split.column so that a split without leaks is drawn."
        )
        raise SplitLeakageError(message)
    parts = pd.Index(_SPLITS).get_indexer(pd.Index(official)).astype(np.int64)
    is_train = parts == _SPLITS.index(Split.train)
    drawn = {name: share for name, share in _shares(config).items() if share > 0 and name not in set(official)}
    rest = float(is_train.mean()) - sum(drawn.values())
    if rest <= 0:
        message = (
            f"the official split in column {config.column!r} has {is_train.mean():.0%} of the images in train, too few "
            f"to take {' and '.join(drawn) or 'anything'} from it and still train: correct the column, or make "
            f"{' and '.join(f'data.split.{name}' for name in drawn) or 'the train part'} "
            f"{'smaller' if drawn else 'larger'}."
        )
        raise SplitError(message)
    if drawn:
        keep = np.zeros(len(strata.group_names), dtype=bool)
        keep[strata.groups[is_train]] = True
        of_group = _deal(strata, keep, {"train": rest, **drawn}, seed, everywhere)
        parts = np.where(is_train, of_group[strata.groups], parts)
    return parts


def _to_table(
    manifest: pd.DataFrame, strata: Strata, parts: NDArray[np.int64], folds: NDArray[np.int64]
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            SAMPLE_ID: manifest[SAMPLE_ID].to_numpy(dtype=object),
            GROUP_ID: strata.group_names[strata.groups],
            SPLIT: np.array(_SPLITS, dtype=object)[parts],
            FOLD: folds[strata.groups],
        },
        index=manifest.index,
    )
    return table[list(SPLIT_COLUMNS)]


def _describe_thin(stratum: str, images: int, groups: int, missing: tuple[str, ...], task: Task) -> str:
    what = f"class {stratum!r}" if task is Task.classification else f"the range {stratum} of the target"
    plural = "group" if groups == 1 else "groups"
    if str(Split.train) in missing:
        meaning = "so it cannot be learned"
    elif str(Split.test) in missing:
        meaning = "so nothing is known of how well it is recognised"
    else:
        meaning = "so they say nothing about it"
    return (
        f"{what} has {groups} {plural} ({images} images) and is missing from {', '.join(missing)}, {meaning}: add "
        "images of other plants or leaves of it."
    )
