"""The split: drawn once, by group, read everywhere."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import SplitError, SplitLeakageError
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.config import SplitConfig
from phytoscope.schema.table import FOLD, GROUP_ID, LABEL, SAMPLE_ID, SHA256, SPLIT, SPLIT_COLUMNS, TARGET, Split, Task

_FOLDS = 5
NO_FOLD = -1
"""Fold of the test images: they choose nothing."""
_MOST_STRATA = 10
_GROUPS_PER_STRATUM = 4
_SHOWN = 10


def split_by_group(manifest: pd.DataFrame, task: Task, config: SplitConfig, seed: int) -> pd.DataFrame:
    """Draws train, val, calibration and test so that no group and no picture stands in two of them.

    Groups that share an identical picture are joined first. Groups are dealt out largest first, each to the split that
    still lacks most of its stratum (class, or quantile of the target).

    Args:
        manifest: One row an image.
        task: Stratify by class or by quantile of the target.
        config: Shares of the splits.
        seed: Seed of the order in which equal groups are dealt out; the same seed gives the same split everywhere.

    Returns:
        Columns `sample_id`, `group_id` (of the joined group), `split`, `fold` (0-4, for cross-validation by group
        on all that is not test; -1 in test).

    Raises:
        SplitError: There are fewer groups than splits.
    """
    groups = join_groups(manifest)
    shares = {
        Split.train: 1 - config.val - config.calibration - config.test,
        Split.val: config.val,
        Split.calibration: config.calibration,
        Split.test: config.test,
    }
    wanted = {name: share for name, share in shares.items() if share > 0}
    n_groups = groups.nunique()
    if n_groups < len(wanted):
        message = (
            f"the data have {n_groups} groups, but the splits {', '.join(wanted)} need at least {len(wanted)}: add "
            "plants or leaves, set the share of a split to 0 (data.split.calibration=0), or check data.group_by."
        )
        raise SplitError(message)
    counts = _count_strata(manifest, groups, task)
    names = [str(name) for name in wanted]
    dealt = _deal(counts, np.array(list(wanted.values())), seed)
    split_of = dict(zip(counts.index, [names[position] for position in dealt], strict=True))
    # Folds are for choosing between models, so the test groups have no part in them.
    learned = counts[[split_of[name] != Split.test.value for name in counts.index]]
    n_folds = min(_FOLDS, len(learned))
    fold_of = dict(zip(learned.index, _deal(learned, np.full(n_folds, 1 / n_folds), seed), strict=True))
    table = pd.DataFrame(
        {
            SAMPLE_ID: manifest[SAMPLE_ID],
            GROUP_ID: groups,
            SPLIT: groups.map(split_of),
            FOLD: groups.map(fold_of).fillna(NO_FOLD).astype("int64"),
        }
    )
    check_split(manifest, table)
    return table[list(SPLIT_COLUMNS)]


def check_split(manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    """Makes sure that every image stands in one split, and nothing on both sides.

    Raises:
        SplitError: An image stands in no split, in several rows, or is not in the manifest.
        SplitLeakageError: A group or an identical picture stands in two splits; the text names them.
    """
    wrong = sorted(set(manifest[SAMPLE_ID]) ^ set(split[SAMPLE_ID])) + sorted(
        split.loc[split[SAMPLE_ID].duplicated(), SAMPLE_ID]
    )
    if wrong:
        message = (
            f"the split does not fit the manifest: {len(wrong)} images stand in only one of them, or twice in the "
            f"split: {', '.join(map(repr, wrong[:_SHOWN]))}. Draw it again."
        )
        raise SplitError(message)
    joined = manifest[[SAMPLE_ID, SHA256]].merge(split[[SAMPLE_ID, GROUP_ID, SPLIT]], on=SAMPLE_ID, how="left")
    joined = joined.merge(manifest[[SAMPLE_ID, GROUP_ID]].rename(columns={GROUP_ID: "declared"}), on=SAMPLE_ID)
    offenders = []
    for column, what in ((GROUP_ID, "group"), ("declared", "group"), (SHA256, "picture")):
        torn = joined[joined.groupby(column)[SPLIT].transform("nunique") > 1]
        offenders += [
            f"{what} {name!r} in {' and '.join(sorted(set(found)))}" for name, found in torn.groupby(column)[SPLIT]
        ]
    if offenders:
        offenders = sorted(set(offenders))
        more = f" and {len(offenders) - _SHOWN} more" if len(offenders) > _SHOWN else ""
        message = f"the split leaks: {'; '.join(offenders[:_SHOWN])}{more}. Draw it again by group."
        raise SplitLeakageError(message)


def hash_split(split: pd.DataFrame) -> str:
    """Content hash of a split: which image stands where, whatever the order of the rows."""
    return hash_content(sorted(zip(split[SAMPLE_ID], split[SPLIT], split[FOLD].astype(int).tolist(), strict=True)))


def hash_manifest(manifest: pd.DataFrame) -> str:
    """Content hash of a manifest, the data's version: names, pictures, answers and groups, whatever the order."""
    columns = [SAMPLE_ID, SHA256, LABEL, TARGET, GROUP_ID]
    rows = manifest[columns].astype(object).where(manifest[columns].notna(), None)
    return hash_content(sorted(map(list, rows.itertuples(index=False)), key=lambda row: str(row[0])))


def join_groups(manifest: pd.DataFrame) -> pd.Series:
    """Joins declared groups that share an identical picture (connected components), named after the smallest member."""
    parent = {name: name for name in manifest[GROUP_ID]}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    copies = manifest[manifest[SHA256].duplicated(keep=False)]
    for _, names in copies.groupby(SHA256)[GROUP_ID]:
        roots = sorted({find(name) for name in names})
        for root in roots[1:]:
            parent[root] = roots[0]
    return manifest[GROUP_ID].map(find)


def _count_strata(manifest: pd.DataFrame, groups: pd.Series, task: Task) -> pd.DataFrame:
    if task is Task.classification:
        strata = manifest[LABEL]
    else:
        # Summed in a fixed order, because the last digit of a mean decides between equal groups.
        means = manifest.sort_values(SAMPLE_ID)[TARGET].groupby(groups).mean()
        bins = int(np.clip(len(means) // _GROUPS_PER_STRATUM, 1, _MOST_STRATA))
        ranks = means.rank(method="first").sub(1) * bins // len(means)
        strata = groups.map(ranks.astype(int))
    return pd.crosstab(groups, strata).sort_index()


def _deal(counts: pd.DataFrame, shares: NDArray[np.float64], seed: int) -> list[int]:
    values = counts.to_numpy(dtype=float)
    totals = values.sum(axis=0)
    lacking = shares[:, None] * totals
    order = np.random.default_rng(seed).permutation(len(values))
    order = order[np.argsort(-values[order].sum(axis=1), kind="stable")]
    dealt = np.full(len(values), -1)
    empty = set(range(len(shares)))
    had = np.zeros(len(shares))
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        # The last groups are kept for splits that have none yet.
        allowed = sorted(empty) if len(empty) >= left else range(len(shares))
        size = values[group].sum()
        within = lacking @ values[group] / size
        # Each small stratum is rounded; what a split has had too little of all strata together evens that out.
        behind = shares * (had.sum() + size) - had
        # Rounded, so that the last digit, which differs between processors, decides nothing.
        score = np.round(within + 0.25 * behind, 9)
        best = max(allowed, key=lambda part: (score[part], -part))
        dealt[group] = best
        empty.discard(best)
        lacking[best] -= values[group]
        had[best] += size
    return [int(part) for part in dealt]
