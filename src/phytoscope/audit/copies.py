"""Clusters of copies in words that people can judge: which pictures, with which answers, of which plants."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pandas as pd

from phytoscope.schema.audit import DuplicateCluster
from phytoscope.schema.table import DUPLICATE_ID, GROUP_ID, LABEL, SAMPLE_ID, SHA256, TARGET, Task

_SAME_NUMBER = 0.02


def describe_clusters(pictures: pd.DataFrame, task: Task) -> list[DuplicateCluster]:
    """Lists the clusters of copies: those that contradict each other first, then exact ones, then by size.

    Answers contradict each other when classes differ, or numbers by more than 2 % of the larger; a picture without an
    answer contradicts nobody, and pictures of one plant that look alike may be frames of its growth.

    Args:
        pictures: One row an image with `sample_id`, `sha256`, `label` or `target`, `group_id` and `duplicate_id`.
        task: Which of the two is the answer.
    """
    copies = pictures[pictures[DUPLICATE_ID].duplicated(keep=False) & pictures[DUPLICATE_ID].notna()]
    copies = copies.sort_values([DUPLICATE_ID, SAMPLE_ID])
    answer = LABEL if task is Task.classification else TARGET
    rows = zip(*(copies[name].tolist() for name in (DUPLICATE_ID, SAMPLE_ID, SHA256, answer, GROUP_ID)), strict=True)
    clusters = [_describe(list(members), task) for _, members in groupby(rows, key=lambda row: row[0])]
    return sorted(clusters, key=lambda cluster: (not cluster.conflicting, cluster.kind, -len(cluster.sample_ids)))


def _describe(members: list[tuple[Any, ...]], task: Task) -> DuplicateCluster:
    _, names, contents, answers, groups = zip(*members, strict=True)
    known = [answer for answer in answers if not pd.isna(answer)]
    is_exact = len(set(contents)) == 1
    plants = list(dict.fromkeys(str(group) for group in groups if not pd.isna(group)))
    if task is Task.classification:
        conflicting = len(set(known)) > 1
    else:
        conflicting = _differ(known) and (is_exact or len(plants) > 1)
    spell = str if task is Task.classification else "{:g}".format
    return DuplicateCluster(
        kind="exact" if is_exact else "near",
        sample_ids=[str(name) for name in names],
        labels=["" if pd.isna(answer) else spell(answer) for answer in answers],
        conflicting=conflicting,
        groups=plants,
        files=len(set(contents)),
    )


def _differ(numbers: Iterable[float]) -> bool:
    values = [float(number) for number in numbers]
    return len(values) > 1 and max(values) - min(values) > _SAME_NUMBER * max(map(abs, values))
