"""From table 7 to table 8a: raw answers in, judged answers out."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import DataValidationError
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    LOWER,
    NOVELTY,
    PHOTO_PREFIX,
    PREDICTION,
    PREDICTION_PREFIX,
    PROB_PREFIX,
    PROBABILITY,
    REASONS,
    SET,
    SET_SIZE,
    TARGET,
    TARGET_PREFIX,
    UPPER,
    VERDICT,
    Task,
)
from phytoscope.schema.verdict import REASONS as ALL_REASONS
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.observed import Judged, Labelled, Observed
from phytoscope.trust.trust import Trust


def read_observed(
    predictions: pd.DataFrame, task: Task, class_names: Sequence[str], more_targets: Sequence[str] = ()
) -> Observed:
    """What table 7 says of its images, as the trust sees it.

    Args:
        predictions: Table 7.
        task: Classification or regression.
        class_names: In the order of the probabilities (classification).
        more_targets: Names of the further targets (regression).
    """
    columns = _answer_columns(task, class_names, more_targets)
    photo = {name: _floats(predictions, name) for name in predictions.columns if name.startswith(PHOTO_PREFIX)}
    novelty = _floats(predictions, NOVELTY) if NOVELTY in predictions else np.full(len(predictions), np.nan)
    # A table gives columns that follow each other; what is asked of each row is several times faster on rows that do.
    answers = np.ascontiguousarray(predictions[columns].to_numpy(dtype=np.float64))
    return Observed(answers, novelty, {name.removeprefix(PHOTO_PREFIX): values for name, values in photo.items()})


def read_labelled(
    predictions: pd.DataFrame, task: Task, class_names: Sequence[str], more_targets: Sequence[str] = ()
) -> Labelled:
    """The same with the truth of each image; see `read_observed`.

    Raises:
        DataValidationError: A true class is none of the model's.
    """
    observed = read_observed(predictions, task, class_names, more_targets)
    groups = predictions[GROUP_ID].to_numpy(dtype=object)
    if task is Task.regression:
        columns = [TARGET, *(TARGET_PREFIX + name for name in more_targets)]
        return Labelled(observed, predictions[columns].to_numpy(dtype=np.float64), groups)
    places = pd.Index(class_names).get_indexer(pd.Index(predictions[LABEL]))
    if (places < 0).any():
        unknown = sorted(set(predictions.loc[places < 0, LABEL].astype(str)))
        message = f"the model knows no class {', '.join(map(repr, unknown[:5]))}: predict again with this run's model."
        raise DataValidationError(message)
    return Labelled(observed, places.astype(np.int64), groups)


def judge_table(
    predictions: pd.DataFrame,
    trust: Trust,
    class_names: Sequence[str],
    more_targets: Sequence[str] = (),
) -> pd.DataFrame:
    """Table 8a: table 7 with calibrated answers, sets or intervals, verdicts and reasons.

    Args:
        predictions: Table 7.
        trust: What was fitted on its calibration rows.
        class_names: In the order of the probabilities (classification).
        more_targets: Names of the further targets (regression).

    Returns:
        One row per row of table 7, in its order, with all its columns: `prob/<class>`, `probability` and `prediction`
        are calibrated; new are `set` (JSON list of class names) and `set_size`, or `lower` and `upper` with
        `lower/<name>` and `upper/<name>`; and `verdict` and `reasons` (names, joined by spaces).
    """
    judged = trust.judge(read_observed(predictions, trust.task, class_names, more_targets))
    new: dict[str, Any] = {}
    if trust.task is Task.classification:
        new = _class_columns(judged, class_names)
    else:
        new = {
            kind if name is None else f"{kind}/{name}": ends[:, place]
            for kind, ends in ((LOWER, judged.lower), (UPPER, judged.upper))
            if ends is not None
            for place, name in enumerate([None, *more_targets])
        }
    new[VERDICT] = np.array(list(map(str, Verdict)), dtype=object)[judged.verdict]
    new[REASONS] = _join_reasons(judged)
    kept = predictions.drop(columns=[name for name in new if name in predictions])
    return pd.concat([kept, pd.DataFrame(new, index=predictions.index)], axis=1)


def _class_columns(judged: Judged, class_names: Sequence[str]) -> dict[str, Any]:
    names = np.array(class_names, dtype=object)
    new: dict[str, Any] = {f"{PROB_PREFIX}{name}": judged.answers[:, i] for i, name in enumerate(class_names)}
    new[PREDICTION] = names[judged.answers.argmax(axis=1)]
    new[PROBABILITY] = judged.answers.max(axis=1)
    if judged.sets is not None:
        new[SET] = _name_sets(judged, names)
        new[SET_SIZE] = judged.sets.sum(axis=1)
    return new


def _name_sets(judged: Judged, names: NDArray[np.object_]) -> list[str]:
    # Most images share a few sets, so each kind of set is worded once.
    sets = judged.sets if judged.sets is not None else np.zeros((0, len(names)), dtype=bool)
    bits = np.packbits(sets, axis=1)
    # In words of 64 bits, which are told apart much faster than rows of bytes.
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
    codes = np.zeros(len(sets), dtype=np.int64)
    for word in words.T:
        part, kinds = pd.factorize(word)
        codes, _ = pd.factorize(codes * len(kinds) + part)
    _, first = np.unique(codes, return_index=True)
    named = np.array([json.dumps(list(names[sets[row]]), ensure_ascii=False) for row in first], dtype=object)
    return list(named[codes])


def _join_reasons(judged: Judged) -> list[str]:
    codes = judged.reasons @ (1 << np.arange(len(ALL_REASONS)))
    kinds, place = np.unique(codes, return_inverse=True)
    words = [" ".join(reason for i, reason in enumerate(ALL_REASONS) if code >> i & 1) for code in kinds]
    return list(np.array(words, dtype=object)[place])


def _answer_columns(task: Task, class_names: Sequence[str], more_targets: Sequence[str]) -> list[str]:
    if task is Task.classification:
        return [PROB_PREFIX + name for name in class_names]
    return [PREDICTION, *(PREDICTION_PREFIX + name for name in more_targets)]


def _floats(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return table[name].to_numpy(dtype=np.float64)
