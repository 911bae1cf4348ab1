"""Images of a further set that a person should look at."""

from typing import Any, Final

import numpy as np
import pandas as pd

from phytoscope.schema.external import ExternalExample
from phytoscope.schema.table import LABEL, PATH, PREDICTION, PROBABILITY, REASONS, SAMPLE_ID, TARGET, VERDICT
from phytoscope.schema.verdict import Verdict

GIVEN_LABEL: Final = "given_label"
"""Column of a further set: its own name of the class, missing where nobody said; `label` holds the model's name."""
EXAMPLES: Final = 12


def choose_examples(answers: pd.DataFrame, tolerance: float | None, unit: str | None) -> list[ExternalExample]:
    """The most telling images: accepted though wrong, then accepted though nobody knows, and some of the others.

    Args:
        answers: Judged answers for a further set.
        tolerance: Largest error that counts as right, in `unit`; None when not stated.
        unit: Unit of the target; None for classes.
    """
    right, weight = _judge_values(answers, tolerance) if unit is not None else _judge_classes(answers)
    accepted = answers[VERDICT] == Verdict.accept.value
    wrong, unknown = right.eq(False), right.isna()
    kind = np.select([accepted & wrong, accepted & unknown, wrong, ~accepted], [0, 1, 2, 3], default=4)
    order = pd.DataFrame({"kind": kind, "weight": weight.to_numpy()}, index=answers.index)
    order = order.sort_values(["kind", "weight"], ascending=[True, False], kind="stable")
    # Half of the room at most for one kind, so that the others are seen too.
    shown = order[order.groupby("kind").cumcount() < EXAMPLES // 2].index[:EXAMPLES]
    return [_word_example(answers.loc[row], right[row], unit) for row in shown]


def _judge_classes(answers: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    right = (answers[LABEL] == answers[PREDICTION]).astype(object)
    return right.where(answers[GIVEN_LABEL].notna(), None), answers[PROBABILITY]


def _judge_values(answers: pd.DataFrame, tolerance: float | None) -> tuple[pd.Series, pd.Series]:
    error = (answers[PREDICTION] - answers[TARGET]).abs()
    known = error.notna() & (tolerance is not None)
    right = (error <= (0.0 if tolerance is None else tolerance)).astype(object)
    return right.where(known, None), error.fillna(-1.0)


def _word_example(row: pd.Series, right: bool | None, unit: str | None) -> ExternalExample:
    truth = row[GIVEN_LABEL] if unit is None else row[TARGET]
    return ExternalExample(
        sample_id=str(row[SAMPLE_ID]),
        path=str(row[PATH]),
        truth="" if pd.isna(truth) else _word_answer(truth, unit),
        answer=_word_answer(row[PREDICTION], unit),
        probability=float(row[PROBABILITY]) if unit is None else None,
        right=right,
        verdict=str(row[VERDICT]),
        reasons=str(row[REASONS]).split(),
    )


def _word_answer(value: Any, unit: str | None) -> str:
    return str(value) if unit is None else f"{value:.4g} {unit}".strip()
