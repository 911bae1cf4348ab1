"""Near-copies that have different answers: they are kept, so a person must be told of them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.source import Fault, faults_to_table
from phytoscope.schema.table import DUPLICATE_ID, GROUP_ID, LABEL, SAMPLE_ID, SOURCE_ROW, TARGET, Task

_FAR_APART = 0.02
"""Targets of copies that differ by more than this share of the larger one are different answers."""


def find_disagreements(manifest: pd.DataFrame, task: Task, target_name: str) -> pd.DataFrame:
    """Finds images that are kept and are copies of another image with another answer.

    Labels differ when they are not the same. Targets differ by more than 2 % of the larger absolute value; those of one
    declared group may differ, because a plant grows between two photographs that look alike.

    Args:
        manifest: Columns `sample_id`, `source_row`, `group_id`, `duplicate_id`, `label` or `target`.
        task: Which of the two is the answer.
        target_name: The user's own name of the answer.

    Returns:
        One row for each such image, columns as in `rejected.csv`, naming one such copy.
    """
    answer = LABEL if task is Task.classification else TARGET
    columns = [SAMPLE_ID, SOURCE_ROW, GROUP_ID, DUPLICATE_ID, answer]
    rows = manifest.loc[manifest[DUPLICATE_ID].duplicated(keep=False), columns]
    rows = rows[rows.groupby(DUPLICATE_ID)[answer].transform("nunique") > 1]
    faults = []
    for _, part in rows.sort_values([DUPLICATE_ID, SAMPLE_ID]).groupby(DUPLICATE_ID):
        other_of = _find_other(part, answer)
        for position in np.flatnonzero(other_of >= 0):
            row, other = part.iloc[position], part.iloc[other_of[position]]
            value, of_other = (
                (str(it[answer]) if task is Task.classification else f"{it[answer]:.12g}") for it in (row, other)
            )
            what = f"has the label {of_other!r}" if task is Task.classification else f"has the target {of_other}"
            faults.append(
                Fault(
                    str(row[SAMPLE_ID]),
                    f"the picture is a copy of another that has another answer: {other[SAMPLE_ID]!r} {what}",
                    "find out which is right and correct or remove the other; both are kept until then",
                    target_name,
                    value,
                    None if pd.isna(row[SOURCE_ROW]) else int(row[SOURCE_ROW]),
                )
            )
    return faults_to_table(faults)


def _find_other(part: pd.DataFrame, answer: str) -> NDArray[np.int64]:
    """Position of a copy with another answer, for each row; -1 where there is none."""
    answers, groups = part[answer].to_numpy(), part[GROUP_ID].to_numpy()
    others = np.full(len(part), -1, dtype=np.int64)
    for candidate in _pick_candidates(part.reset_index(drop=True), answer):
        value = answers[candidate]
        if answer == LABEL:
            differs = answers != value
        else:
            larger = np.maximum(np.abs(answers), abs(value))
            differs = (np.abs(answers - value) > _FAR_APART * larger) & (groups != groups[candidate])
        others = np.where(differs & (others < 0), candidate, others)
    return others


def _pick_candidates(part: pd.DataFrame, answer: str) -> list[int]:
    # Whoever differs from anybody differs from one of these, so that large clusters are not compared in pairs.
    if answer == LABEL:
        return list(part.drop_duplicates(answer).index[:2])
    ranked = part.sort_values(answer, kind="stable")
    low, high = (table.drop_duplicates(GROUP_ID).index[:2] for table in (ranked, ranked[::-1]))
    return list(dict.fromkeys([*low, *high]))
