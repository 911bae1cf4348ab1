"""Is the table of predictions fit to be evaluated? Every fault is collected, then raised at once."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from phytoscope.errors import ArtifactError, DataValidationError
from phytoscope.schema.table import (
    GREEN_PX,
    LABEL,
    PREDICTION,
    PREDICTION_COLUMNS,
    PREDICTION_PREFIX,
    PROB_PREFIX,
    PROBABILITY,
    SAMPLE_ID,
    SPLIT,
    TARGET,
    TARGET_PREFIX,
    Split,
    Task,
)

PROBABILITY_TOLERANCE = 1e-4
"""How far the probabilities of one image may be from summing to 1; float32 stays well below."""
EVALUATED_SPLITS = (Split.val, Split.calibration, Split.test)


def check_table(
    predictions: pd.DataFrame, task: Task, class_names: list[str], more_targets: Sequence[str] = ()
) -> None:
    """Looks for everything that would make the numbers wrong.

    Args:
        predictions: Table 7, see `evaluate_predictions`.
        task: Classification or regression.
        class_names: In the order of the probabilities; ignored for regression.
        more_targets: Names of the further targets (regression).

    Raises:
        DataValidationError: Columns are missing, there are no rows, a sample stands there twice, a split is unknown, a
            number is not finite, a probability is outside 0-1 or does not sum to 1 with the others, a class is
            unknown, or the prediction is not the most probable class. The text lists every fault.
    """
    wanted = [*PREDICTION_COLUMNS, *_task_columns(task, class_names, more_targets)]
    faults = _list_missing_columns(predictions, wanted, "predictions")
    if not faults:
        faults = _list_row_faults(predictions)
        if task == Task.classification:
            faults += _list_class_faults(predictions, class_names)
        else:
            more = [PREDICTION_PREFIX + name for name in more_targets]
            faults += _list_number_faults(predictions, [TARGET, PREDICTION, GREEN_PX, *more])
            faults += _list_odd_targets(predictions, more_targets)
    _raise_all(faults, "the predictions cannot be evaluated", "predict again with the model of this run")


def check_train_rows(
    train_rows: pd.DataFrame, task: Task, class_names: list[str], more_targets: Sequence[str] = ()
) -> None:
    """Looks for everything that would keep the baselines from being fitted.

    Args:
        train_rows: Rows of the training split with `label` (classification) or `target` and `green_px` (regression).
        task: Classification or regression.
        class_names: Known classes; ignored for regression.
        more_targets: Names of the further targets, of which `target/<name>` may be missing in some rows (regression).

    Raises:
        DataValidationError: Columns are missing, there are no rows, a class is unknown or a number is not finite.
    """
    wanted = [LABEL] if task == Task.classification else [TARGET, GREEN_PX]
    more = [TARGET_PREFIX + name for name in more_targets]
    faults = _list_missing_columns(train_rows, [*wanted, *more], "the training rows")
    if not faults and train_rows.empty:
        faults = ["there are no training rows"]
    elif not faults and task == Task.classification:
        faults = _list_unknown_classes(train_rows[LABEL], LABEL, class_names)
    elif not faults:
        faults = _list_number_faults(train_rows, wanted) + _list_odd_targets(train_rows, more_targets)
    _raise_all(faults, "the baselines cannot be fitted", "pass the rows of the training split of this run")


def check_predictions(predictions: pd.DataFrame, split_table: pd.DataFrame) -> None:
    """Makes sure that the predictions belong to the split: nothing missing, nothing twice, nothing moved.

    Args:
        predictions: Table 7; needs `sample_id` and `split`.
        split_table: Table 3; needs `sample_id` and `split`.

    Raises:
        ArtifactError: A sample of val, calibration or test has no prediction or several, a predicted sample is not
            in the split, or stands there in another split.
    """
    evaluated = [str(split) for split in EVALUATED_SPLITS]
    planned = split_table.loc[split_table[SPLIT].isin(evaluated)]
    wanted = dict(zip(planned[SAMPLE_ID], planned[SPLIT].astype(str), strict=True))
    given = predictions[SAMPLE_ID]
    found = dict(zip(given, predictions[SPLIT].astype(str), strict=True))
    problems = {
        "without a prediction": [name for name in wanted if name not in found],
        "predicted more than once": list(given[given.duplicated()].unique()),
        "predicted but not in val, calibration or test of the split": [name for name in found if name not in wanted],
        "predicted under another split": [name for name in found if name in wanted and found[name] != wanted[name]],
    }
    faults = [f"{len(names)} {what} ({_quote(names)})" for what, names in problems.items() if names]
    if faults:
        message = (
            f"the predictions do not belong to this split: {'; '.join(faults)}. "
            "Remove predictions.parquet and evaluate the run again."
        )
        raise ArtifactError(message)


def _task_columns(task: Task, class_names: list[str], more_targets: Sequence[str]) -> list[str]:
    if task == Task.classification:
        return [LABEL, PROBABILITY, *(PROB_PREFIX + name for name in class_names)]
    more = [prefix + name for name in more_targets for prefix in (TARGET_PREFIX, PREDICTION_PREFIX)]
    return [TARGET, GREEN_PX, *more]


def _list_missing_columns(table: pd.DataFrame, wanted: list[str], what: str) -> list[str]:
    missing = [name for name in wanted if name not in table.columns]
    if not missing:
        return []
    return [f"{what}: column(s) {_quote(missing, 40)} missing; there are {_quote(list(map(str, table.columns)), 40)}"]


def _list_row_faults(predictions: pd.DataFrame) -> list[str]:
    if predictions.empty:
        return ["there are no rows"]
    faults = []
    doubled = predictions.loc[predictions[SAMPLE_ID].duplicated(), SAMPLE_ID].unique()
    if len(doubled):
        faults.append(f"{len(doubled)} sample_id(s) stand in several rows ({_quote(list(doubled))})")
    known = [str(split) for split in EVALUATED_SPLITS]
    strange = predictions.loc[~predictions[SPLIT].isin(known), SPLIT].unique()
    if len(strange):
        faults.append(f"unknown split(s) {_quote(list(strange))}; allowed are {_quote(known)}")
    return faults


def _list_number_faults(table: pd.DataFrame, columns: list[str]) -> list[str]:
    faults = []
    for column in columns:
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~np.isfinite(values)
        if bad.any():
            first = _quote([str(value) for value in table.loc[bad, column].head(3)])
            faults.append(f"column {column!r}: {int(bad.sum())} of {len(table)} values are no finite number ({first})")
    return faults


def _list_odd_targets(table: pd.DataFrame, more_targets: Sequence[str]) -> list[str]:
    """Further targets may be missing, but what stands there must be a finite number."""
    faults = []
    for column in (TARGET_PREFIX + name for name in more_targets):
        faults += _list_number_faults(table.loc[table[column].notna()], [column])
    return faults


def _list_class_faults(predictions: pd.DataFrame, class_names: list[str]) -> list[str]:
    faults = _list_class_name_faults(class_names)
    for column in (LABEL, PREDICTION):
        faults += _list_unknown_classes(predictions[column], column, class_names)
    columns = [PROB_PREFIX + name for name in class_names]
    numbers = _list_number_faults(predictions, [PROBABILITY, *columns])
    if numbers or faults or predictions.empty:
        return faults + numbers
    probs = predictions[columns].to_numpy(dtype=np.float64)
    confidence = predictions[PROBABILITY].to_numpy(dtype=np.float64)
    names = predictions[SAMPLE_ID].to_numpy()
    index = {name: i for i, name in enumerate(class_names)}
    own = probs[np.arange(len(probs)), [index[name] for name in predictions[PREDICTION]]]
    sums = probs.sum(axis=1)
    problems = {
        "have a probability outside 0-1": ((probs < 0) | (probs > 1)).any(axis=1),
        "have probabilities that do not sum to 1": np.abs(sums - 1.0) > PROBABILITY_TOLERANCE,
        "have a prediction that is not the most probable class": own < probs.max(axis=1) - PROBABILITY_TOLERANCE,
        "have a probability that is not the predicted class's": np.abs(confidence - own) > PROBABILITY_TOLERANCE,
    }
    return [f"{bad.sum()} row(s) {text} ({_quote(list(names[bad]))})" for text, bad in problems.items() if bad.any()]


def _list_class_name_faults(class_names: list[str]) -> list[str]:
    if len(class_names) < 2:
        return [f"class_names has {len(class_names)} entries; at least 2 are needed"]
    if len(set(class_names)) < len(class_names):
        return ["class_names names a class twice"]
    return []


def _list_unknown_classes(values: pd.Series, column: str, class_names: list[str]) -> list[str]:
    bad = values[~values.isin(class_names)]
    if bad.empty:
        return []
    unknown = _quote(list(map(str, bad.unique())))
    known = _quote(class_names, 40)
    return [f"column {column!r}: {len(bad)} row(s) name no known class ({unknown}); known are {known}"]


def _quote(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f", ... {len(names) - limit} more" if len(names) > limit else "")


def _raise_all(faults: list[str], what: str, remedy: str) -> None:
    if not faults:
        return
    message = f"{what} ({len(faults)} fault(s)): {'; '.join(faults)}. What to do: {remedy}."
    raise DataValidationError(message)
