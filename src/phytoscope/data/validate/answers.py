"""Checks labels and targets: missing, out of range, spelled in several ways, different for the same picture."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.spellings import find_codes, fold_label
from phytoscope.data.readers.units import is_amount
from phytoscope.data.source import Source
from phytoscope.data.validate.fault_log import FaultLog
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import LABEL, SAMPLE_ID, SHA256, SOURCE_ROW, TARGET, Task

_KEPT = "the image is kept in unlabelled.parquet"
_SHOWN = 5


def check_answers(rows: pd.DataFrame, source: Source, config: DataConfig, faults: FaultLog) -> NDArray[np.bool_]:
    """Checks the label or the target of every row.

    Args:
        rows: The source's rows, index from 0.
        source: Where they came from.
        config: `target_min`, `target_max` and `unit` are read.
        faults: Receives what is found.

    Returns:
        Which rows lack an answer, shape (N,), bool; an answer that is there and cannot be read does not count.
    """
    if source.task is Task.classification:
        return _check_labels(rows, source, faults)
    return _check_targets(rows, source, config, faults)


def find_contradictions(rows: pd.DataFrame, source: Source, faults: FaultLog) -> None:
    """Finds identical files with different answers among the rows without a fault; all of them are faults then.

    Args:
        rows: The source's rows with `sha256`, index from 0.
        source: Where they came from.
        faults: Says which rows have a fault already, and receives what is found.
    """
    answer = LABEL if source.task is Task.classification else TARGET
    usable = rows.loc[~faults.hit, [SAMPLE_ID, SHA256, answer]]
    copies = usable[usable[SHA256].duplicated(keep=False)]
    copies = copies[copies.groupby(SHA256)[answer].transform("nunique") > 1]
    others: dict[int, str] = {}
    for _, part in copies.groupby(SHA256):
        others |= _describe_others(part, answer)
    found = np.zeros(len(rows), dtype=bool)
    found[list(others)] = True
    faults.add(
        found,
        [f"the same picture has another answer elsewhere: {others[position]}" for position in sorted(others)],
        "find out which is right and remove the other",
        column=source.target_name,
        value=[str(value) for value in rows.loc[found, answer]],
    )


def _describe_others(part: pd.DataFrame, answer: str) -> dict[int, str]:
    described = [f"{name} ({value})" for name, value in zip(part[SAMPLE_ID], part[answer], strict=True)]
    texts = {}
    for place, position in enumerate(part.index):
        # A picture that occurs a thousand times is not listed a thousand times in each of its rows.
        others = [described[other] for other in range(min(len(described), _SHOWN + 1)) if other != place][:_SHOWN]
        more = len(described) - 1 - len(others)
        texts[int(position)] = ", ".join(others) + (f" and {more} more" if more else "")
    return texts


def _check_labels(rows: pd.DataFrame, source: Source, faults: FaultLog) -> NDArray[np.bool_]:
    missing = rows[LABEL].isna().to_numpy(dtype=bool)
    remedy = f"label the image; {_KEPT}"
    faults.add(missing, "the label is missing", remedy, column=source.target_name)
    counts = rows.loc[~missing, LABEL].value_counts()
    # The most frequent spelling is the right one; of equally frequent ones the first by name.
    spellings = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    usual: dict[str, str] = {}
    for label, _ in spellings:
        usual.setdefault(fold_label(str(label)), str(label))
    rare = {str(label): usual[fold_label(str(label))] for label, _ in spellings}
    rare = {label: other for label, other in rare.items() if label != other}
    where = rows[LABEL].isin(list(rare)).to_numpy(dtype=bool)
    labels = list(rows.loc[where, LABEL])
    what = "the folder" if not source.image_column else "the label"
    faults.add(
        where,
        [f"{what} differs from another only by case, space or underscore: {rare[label]!r}" for label in labels],
        [f"did you mean {rare[label]!r}? It has {counts[rare[label]]} images: write it alike" for label in labels],
        column=source.target_name,
        value=labels,
    )
    return missing


def _check_targets(rows: pd.DataFrame, source: Source, config: DataConfig, faults: FaultLog) -> NDArray[np.bool_]:
    name = source.target_name
    values = rows[TARGET].to_numpy(dtype=float)
    # A target that is text was read as missing and has its fault already.
    unread = {fault.source_row for fault in source.faults if fault.column == name}
    missing: NDArray[np.bool_] = np.isnan(values)
    if unread:
        missing &= ~rows[SOURCE_ROW].isin(unread).to_numpy(dtype=bool)
    faults.add(missing, "the target is missing", f"measure it; {_KEPT}", column=name)

    def note(where: NDArray[np.bool_], reason: str, remedy: str) -> None:
        faults.add(where, reason, remedy, column=name, value=[f"{value:.12g}" for value in values[where]])

    codes = find_codes(values)
    note(codes, "the target is a code for 'not measured'", "leave the cell empty")
    low, high = config.target_min, config.target_max
    if low is not None:
        note((values < low) & ~codes, f"the target is below {low:g}", "correct the value, or change data.target_min")
    # A largest value of 0 or less says that negative ones are meant.
    elif is_amount(name, config.unit or source.unit) and (high is None or high > 0):
        remedy = "correct the sign, or say with data.target_min how low it can be"
        note((values < 0) & ~codes, "the target is negative, which no such quantity can be", remedy)
    if high is not None:
        note(values > high, f"the target is above {high:g}", "correct the value, or change data.target_max")
    return missing
