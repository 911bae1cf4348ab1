"""What may be a slip in a table although every cell can be read: such rows are kept, and a person is told."""

import numpy as np
import pandas as pd

from phytoscope.data.readers.group_names import find_nameless, find_number_spellings
from phytoscope.data.readers.read_table import DOUBTFUL
from phytoscope.data.readers.spellings import find_codes
from phytoscope.data.readers.units import is_amount, split_unit
from phytoscope.data.source import Fault
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import SAMPLE_ID, TARGET

# So few of so many numbers are negative by mistake rather than by nature.
_MANY = 10
_RARE = 0.1


def find_doubts(
    table: pd.DataFrame, rows: pd.DataFrame, config: DataConfig, answer: str, name_columns: list[str]
) -> list[Fault]:
    """Finds images without a group, names and numbers that may be written wrongly, and rare negative targets.

    Args:
        table: The user's table as it was read.
        rows: Columns `sample_id` and, for numbers, `target`; index as in the table.
        config: `target_min` and `unit` are read.
        answer: Column of the label or target.
        name_columns: Column of the images, then those that name the group.
    """
    names, groups = rows[SAMPLE_ID], name_columns[1:]
    is_regression = TARGET in rows
    named = {*name_columns} if is_regression else {*name_columns, answer}
    doubts = _doubt_numbers(table, names, named)
    if is_regression:
        doubts += _doubt_negatives(rows[TARGET], names, answer, config)
    else:
        doubts += find_number_spellings(table[answer], names, "label")
    if groups:
        doubts += find_nameless(table, groups, names)
    for name in groups:
        doubts += find_number_spellings(table[name], names, "group")
    return doubts


def _doubt_numbers(table: pd.DataFrame, names: pd.Series, texts: set[str]) -> list[Fault]:
    return [
        Fault(
            str(names[line]),
            f"the number can be read in two ways: {text!r} is read as {read:.12g} and may mean {other:.12g}",
            f"it is more than ten times as large as every other in the column: write {read:.12g} or {other:.12g}",
            column,
            text,
            line,
        )
        for line, column, text, read, other in table.attrs[DOUBTFUL]
        if line in names.index and column not in texts
    ]


def _doubt_negatives(targets: pd.Series, names: pd.Series, column: str, config: DataConfig) -> list[Fault]:
    # Where the unit or the name says that nothing can be negative, the row is refused; a given range is checked too.
    if config.target_min is not None or is_amount(column, config.unit or split_unit(column)[1]):
        return []
    values = targets.to_numpy(dtype=float)
    negative = (values < 0) & ~find_codes(values)
    known = np.count_nonzero(~np.isnan(values))
    if known < _MANY or np.count_nonzero(negative) > _RARE * known:
        return []
    reason = "the target is negative, as hardly any other in the column"
    remedy = "check the sign; data.target_min=0 rejects negative targets, and a lower one says that they are right"
    return [
        Fault(str(name), reason, remedy, column, f"{value:.12g}", int(line))
        for line, name, value in zip(targets.index[negative], names[negative], values[negative], strict=True)
    ]
