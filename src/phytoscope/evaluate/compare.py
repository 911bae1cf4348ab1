"""Two models on the same images: by how much one is better, how sure that is, and who wins where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from phytoscope.errors import ArtifactError
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler, IntArray, Replicates, find_bounds
from phytoscope.evaluate.checks import check_table
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.compare_places import Wins, compare_places
from phytoscope.evaluate.intervals import to_value
from phytoscope.evaluate.regression import measure_regression
from phytoscope.evaluate.report import main_metric
from phytoscope.evaluate.value_sums import prepare_value_rows
from phytoscope.schema.comparison import Comparison, Disagreement, MetricDifference, Winner
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    MODEL_ID,
    PREDICTION,
    PROB_PREFIX,
    PROBABILITY,
    SAMPLE_ID,
    SPLIT,
    TARGET,
    Split,
    Task,
)

MIN_GROUPS: Final = 10
LISTED: Final = 200
"""Images on which the models differ most that the comparison itself names."""
_SAME = 1e-6


@dataclass(frozen=True)
class Answers:
    """What one model answered.

    Attributes:
        name: What to call it.
        table: Table of predictions.
        task: Classification or regression.
        class_names: In the order of the model; empty for regression.
        unit: Unit of the target; None where it is not known.
        target_name: Name of the target; None where it is not known.
        split_hash: Which split the model was trained with; None where it is not known.
    """

    name: str
    table: pd.DataFrame
    task: Task
    class_names: list[str]
    unit: str | None = None
    target_name: str | None = None
    split_hash: str | None = None


@dataclass(frozen=True)
class Matched:
    """The rows that both models answered, in the same order.

    Attributes:
        first: Rows of the first table, numbered from 0.
        second: Rows of the second table.
        only_first: Images that only the first has.
        only_second: Images that only the second has.
    """

    first: pd.DataFrame
    second: pd.DataFrame
    only_first: int
    only_second: int


def compare_answers(
    first: Answers, second: Answers, *, split: Split, plan: BootstrapPlan, slices: Sequence[str] = ()
) -> tuple[Comparison, pd.DataFrame]:
    """Compares two models on the images that both answered.

    Both are measured on the same draws of groups, so that what is hard for both does not blur the difference (paired
    cluster bootstrap).

    Args:
        first: Answers of the first model.
        second: Answers of the second model.
        split: Which images: those of this split in both tables.
        plan: How intervals are made.
        slices: Columns of the first table by which is asked who wins where, beside those that are always looked at.

    Returns:
        The comparison, and one row an image on which the models differ, the most telling first: `sample_id`,
        `group_id`, `truth`, `first`, `second`, `winner`.

    Raises:
        ArtifactError: The tables are about different things, say different truths, or have no image in common.
        DataValidationError: A table cannot be trusted.
        ConfigError: A slice names no column.
    """
    check_alike(first, second)
    matched = match_rows(first, second, split)
    task, names = first.task, first.class_names
    sampler = GroupSampler(matched.first[GROUP_ID], plan)
    unit = first.unit if first.unit is not None else second.unit or ""
    if task == Task.classification:
        metrics, wins = _compare_classes(matched, names, sampler)
    else:
        metrics, wins = _compare_values(matched, unit, sampler)
    table = _list_disagreements(matched, task, wins)
    deciding, _ = main_metric(task)
    right = (wins.first == 1, wins.second == 1)
    is_classes = task == Task.classification
    comparison = Comparison(
        task=task,
        first_name=first.name,
        second_name=second.name,
        split=str(split),
        unit=unit,
        n=len(matched.first),
        n_groups=sampler.n_groups,
        only_first=matched.only_first,
        only_second=matched.only_second,
        deciding=deciding,
        metrics=metrics,
        first_wins=int(wins.first_wins.sum()),
        second_wins=int(wins.second_wins.sum()),
        both_right=int((right[0] & right[1]).sum()) if is_classes else None,
        both_wrong=int((~right[0] & ~right[1]).sum()) if is_classes else None,
        places=compare_places(matched.first, wins, sampler, task=task, class_names=names, slices=slices),
        disagreements=[Disagreement(**{**row, "winner": Winner(row["winner"])}) for row in _list_first(table)],
        n_disagreements=len(table),
        warnings=_list_warnings(first, second, matched, sampler),
        bootstrap=plan.draws,
        confidence=plan.confidence,
    )
    return comparison, table


def match_rows(first: Answers, second: Answers, split: Split) -> Matched:
    """Finds the rows of the same images.

    Raises:
        ArtifactError: There is none, or the truth of an image differs.
        DataValidationError: A table cannot be trusted.
    """
    tables = []
    for answers in (first, second):
        check_table(answers.table, answers.task, answers.class_names)
        rows = answers.table.loc[answers.table[SPLIT].astype(str) == str(split)]
        tables.append(rows.set_index(SAMPLE_ID, drop=False))
    common = tables[0].index.intersection(tables[1].index, sort=False).sort_values()
    if len(common) == 0:
        counts = f"{len(tables[0])} in {first.name!r}, {len(tables[1])} in {second.name!r}"
        message = (
            f"no photograph stands in the split {str(split)!r} of both ({counts}): compare runs on the same data and "
            "split, or choose another split with --split."
        )
        raise ArtifactError(message)
    rows_a, rows_b = (table.loc[common].reset_index(drop=True) for table in tables)
    _check_truth(rows_a, rows_b, first.task)
    return Matched(rows_a, rows_b, len(tables[0]) - len(common), len(tables[1]) - len(common))


def check_alike(first: Answers, second: Answers) -> None:
    """Makes sure that two models answer the same question.

    Raises:
        ArtifactError: Task, classes, unit or target differ.
    """
    faults = []
    if first.task != second.task:
        faults.append(f"{first.name!r} is about {first.task}, {second.name!r} about {second.task}")
    elif set(first.class_names) != set(second.class_names):
        odd = sorted(set(first.class_names) ^ set(second.class_names))
        shown = ", ".join(map(repr, odd[:8])) + (", ..." if len(odd) > 8 else "")
        faults.append(f"they know different classes ({shown} in one only)")
    for what, a, b in (("unit", first.unit, second.unit), ("target", first.target_name, second.target_name)):
        if a is not None and b is not None and a != b:
            faults.append(f"the {what} is {a!r} in one and {b!r} in the other")
    if faults:
        message = f"the models cannot be compared: {'; '.join(faults)}. Compare models that answer the same question."
        raise ArtifactError(message)


def _check_truth(first: pd.DataFrame, second: pd.DataFrame, task: Task) -> None:
    column = LABEL if task == Task.classification else TARGET
    if task == Task.classification:
        differs = first[column].astype(str).to_numpy() != second[column].astype(str).to_numpy()
    else:
        a, b = (rows[column].to_numpy(dtype=np.float64) for rows in (first, second))
        differs = np.abs(a - b) > _SAME * np.maximum(np.abs(a), np.abs(b))
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        message = (
            f"{int(differs.sum())} of {len(first)} photographs have another truth in the second table, first "
            f"{first[SAMPLE_ID][row]!r}: {first[column][row]} against {second[column][row]}. Evaluate both runs on the "
            "same version of the data."
        )
        raise ArtifactError(message)


def _compare_classes(matched: Matched, names: list[str], sampler: GroupSampler) -> tuple[list[MetricDifference], Wins]:
    index = {name: place for place, name in enumerate(names)}
    true = _to_indices(matched.first[LABEL], index)
    measured, replicated, right = [], [], []
    for rows in (matched.first, matched.second):
        predicted = _to_indices(rows[PREDICTION], index)
        probs = rows[[PROB_PREFIX + name for name in names]].to_numpy(dtype=np.float64)
        measured.append(measure_classification(true, predicted, probs))
        parts = prepare_class_rows(true, predicted, probs)
        replicated.append(sampler.replicate(parts.sum_units(sampler)).map(parts.build_measure()))
        right.append(predicted == true)
    differences = _find_differences(measured, replicated, sampler)
    values = [part.astype(np.float64) for part in right]
    return differences, Wins(true, values[0], values[1], right[0] & ~right[1], right[1] & ~right[0], True)


def _compare_values(matched: Matched, unit: str, sampler: GroupSampler) -> tuple[list[MetricDifference], Wins]:
    target = matched.first[TARGET].to_numpy(dtype=np.float64)
    measured, replicated, sizes = [], [], []
    for rows in (matched.first, matched.second):
        preds = rows[PREDICTION].to_numpy(dtype=np.float64)
        measured.append(measure_regression(target, preds, unit))
        parts = prepare_value_rows(target, preds)
        replicated.append(sampler.replicate(parts.sum_units(sampler, median=True)).map(parts.build_measure()))
        sizes.append(np.abs(preds - target))
    differences = _find_differences(measured, replicated, sampler)
    return differences, Wins(target, sizes[0], sizes[1], sizes[0] < sizes[1], sizes[1] < sizes[0], False)


def _find_differences(
    measured: list[list[MetricValue]], replicated: list[dict[str, Replicates]], sampler: GroupSampler
) -> list[MetricDifference]:
    found = []
    for one, other in zip(*measured, strict=True):
        gap = _find_gap(one.name, replicated)
        low, high = (to_value(end) for end in find_bounds(gap, sampler.n_groups, sampler.plan.confidence))
        known = one.value is not None and other.value is not None
        found.append(
            MetricDifference(
                name=one.name,
                unit=one.unit,
                higher_is_better=one.higher_is_better,
                first=one.value,
                second=other.value,
                difference=to_value(gap.whole[0]) if known else None,
                low=low if known else None,
                high=high if known else None,
                winner=_choose_winner(low, high, higher_is_better=one.higher_is_better) if known else Winner.unclear,
            )
        )
    return found


def _find_gap(name: str, replicated: list[dict[str, Replicates]]) -> Replicates:
    first, second = (found[name] for found in replicated)
    if name != "bias":
        return second.minus(first)
    # The better bias is the one closer to 0, on either side.
    sizes = [Replicates(np.abs(part.whole), np.abs(part.drawn), np.abs(part.without)) for part in (first, second)]
    return sizes[1].minus(sizes[0])


def _choose_winner(low: float | None, high: float | None, *, higher_is_better: bool) -> Winner:
    if low is None or high is None or low <= 0 <= high:
        return Winner.unclear
    return Winner.second if (low > 0) == higher_is_better else Winner.first


def _list_disagreements(matched: Matched, task: Task, wins: Wins) -> pd.DataFrame:
    first, second = matched.first, matched.second
    a, b = first[PREDICTION], second[PREDICTION]
    if task == Task.classification:
        rows = np.flatnonzero(a.astype(str).to_numpy() != b.astype(str).to_numpy())
        decided = wins.first_wins | wins.second_wins
        # What one model says with certainty and the other denies tells most.
        weight = decided + np.maximum(first[PROBABILITY].to_numpy(), second[PROBABILITY].to_numpy(dtype=np.float64))
    else:
        weight = np.abs(a.to_numpy(dtype=np.float64) - b.to_numpy(dtype=np.float64))
        rows = np.flatnonzero(weight > 0)
    rows = rows[np.argsort(-weight[rows], kind="stable")]
    winner = np.where(wins.first_wins, Winner.first, np.where(wins.second_wins, Winner.second, Winner.unclear))
    truth = LABEL if task == Task.classification else TARGET
    return pd.DataFrame(
        {
            SAMPLE_ID: first[SAMPLE_ID].to_numpy()[rows],
            GROUP_ID: first[GROUP_ID].to_numpy()[rows],
            "truth": first[truth].to_numpy()[rows],
            "first": a.to_numpy()[rows],
            "second": b.to_numpy()[rows],
            "winner": [str(word) for word in winner[rows]],
        }
    )


def _list_first(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [SAMPLE_ID, "truth", "first", "second", "winner"]
    return [{str(name): value for name, value in row.items()} for row in table[columns].head(LISTED).to_dict("records")]


def _list_warnings(first: Answers, second: Answers, matched: Matched, sampler: GroupSampler) -> list[str]:
    found = []
    if sampler.n_groups < MIN_GROUPS:
        rest = "so no range can be given" if sampler.n_groups == 1 else "so the ranges are rough"
        found.append(f"Only {sampler.n_groups} leaves or plants (groups) are compared, {rest}.")
    if matched.only_first + matched.only_second > 0:
        found.append(
            f"{matched.only_first} photographs stand only in {first.name!r} and {matched.only_second} only in "
            f"{second.name!r}; they are left out."
        )
    if None not in (first.split_hash, second.split_hash) and first.split_hash != second.split_hash:
        found.append(
            "The two runs were split differently. Only photographs that neither learned from are compared, but other "
            "photographs of the same plants may have been seen by one of them."
        )
    regrouped = int((matched.first[GROUP_ID].astype(str) != matched.second[GROUP_ID].astype(str)).sum())
    if regrouped > 0:
        found.append(
            f"{regrouped} photographs belong to another group in {second.name!r}; those of {first.name!r} count."
        )
    if set(matched.first[MODEL_ID].astype(str)) == set(matched.second[MODEL_ID].astype(str)):
        found.append("Both tables come from the same model.")
    return found


def _to_indices(names: pd.Series, index: dict[str, int]) -> IntArray:
    return np.array([index[name] for name in names], dtype=np.int64)
