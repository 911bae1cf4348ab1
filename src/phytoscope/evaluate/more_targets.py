"""Numbers about the further targets of a table, each on the rows in which it is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from phytoscope.evaluate.baselines import fit_constant_value, fit_green_pixels
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler
from phytoscope.evaluate.intervals import bound_values
from phytoscope.evaluate.regression import measure_regression
from phytoscope.evaluate.value_sums import prepare_value_rows
from phytoscope.schema.report import TargetReport
from phytoscope.schema.table import GREEN_PX, GROUP_ID, PREDICTION_PREFIX, TARGET_PREFIX


def fit_target_evaluator(
    train_rows: pd.DataFrame, name: str, unit: str, plan: BootstrapPlan | None = None
) -> Callable[[pd.DataFrame], TargetReport]:
    """Fits the baselines of one further target.

    Args:
        train_rows: Rows of the training split with `target/<name>`, missing where it is not known, and `green_px`.
        name: Name of the target.
        unit: Its unit; may be empty.
        plan: How intervals are made; None for none.

    Returns:
        A function from the rows of one split of table 7 to the target's numbers.
    """
    known = train_rows.loc[train_rows[TARGET_PREFIX + name].notna()]
    target = known[TARGET_PREFIX + name].to_numpy(dtype=np.float64)
    lines = []
    if len(target):
        lines = [
            fit_constant_value(target, unit),
            fit_green_pixels(target, known[GREEN_PX].to_numpy(dtype=np.float64), unit),
        ]

    def evaluate_target(rows: pd.DataFrame) -> TargetReport:
        rows = rows.loc[rows[TARGET_PREFIX + name].notna()]
        if rows.empty:
            return TargetReport(name, unit, n=0, n_groups=0)
        true, preds, green = (
            rows[column].to_numpy(dtype=np.float64)
            for column in (TARGET_PREFIX + name, PREDICTION_PREFIX + name, GREEN_PX)
        )
        sampler = GroupSampler(rows[GROUP_ID], plan or BootstrapPlan())
        return TargetReport(
            name,
            unit,
            n=len(rows),
            n_groups=sampler.n_groups,
            metrics=bound_values(measure_regression(true, preds, unit), prepare_value_rows(true, preds), sampler),
            baselines=[line.score(true, green) for line in lines],
        )

    return evaluate_target
