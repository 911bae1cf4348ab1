"""Explanations of some test answers: what a trained model looks at when it is right, and when it is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.errors import ConfigError, MissingDependencyError
from phytoscope.predict.explain import Explainer
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.explanation import ExplainedImage, Explanation, ExplanationReport, report_explanations
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    PREDICTION,
    PROBABILITY,
    SAMPLE_ID,
    SHA256,
    SPLIT,
    TARGET,
    Split,
    Task,
)
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import PreparedData
from phytoscope.steps.robustness import draw_rows
from phytoscope.steps.training_job import read_columns
from phytoscope.visualize.explanations import ExplainedPicture, plot_explanations
from phytoscope.visualize.text import format_quantity, prettify_class

_RIGHT = "is_right"


@dataclass(frozen=True)
class ExplainedRun:
    """Explanations of some test answers.

    Attributes:
        report: Their numbers.
        figure: The photographs beside their heat maps.
    """

    report: ExplanationReport
    figure: Figure


def explain_run(
    context: RunContext,
    prepared: PreparedData,
    predictor: Predictor,
    cache: PixelCache,
    predictions: pd.DataFrame,
) -> ExplainedRun | None:
    """Explains some answers of the test split, half of them wrong ones where there are as many.

    Args:
        context: `evaluate.explanations` and `seed` are read; `say` is told when nothing can be explained, and why.
        prepared: The data.
        predictor: The model.
        cache: Squares of the test pictures.
        predictions: Table 7.

    Returns:
        None when `evaluate.explanations` is 0, there is no test picture, the extra `explain` is not installed, or the
        backbone keeps no map.
    """
    wanted = context.config.evaluate.explanations
    test = predictions[predictions[SPLIT] == Split.test.value]
    if wanted == 0 or test.empty:
        return None
    try:
        explainer = Explainer(predictor)
    except (MissingDependencyError, ConfigError) as error:
        context.say(f"no explanations: {error}")
        return None
    chosen = choose_answers(test, predictor.description.task, wanted, seed=context.config.seed)
    rows = prepared.rows.set_index(SAMPLE_ID).loc[chosen[SAMPLE_ID]].reset_index()
    encoder = predictor.meaning.covariates
    context.progress.start("Explaining answers", None)
    pixels = np.asarray(cache.pixels[cache.rows(rows[SHA256])])
    explanations = explainer.explain(
        pixels, None if encoder is None else encoder.encode(read_columns(rows)), seed=context.config.seed
    )
    context.progress.finish()
    described = [
        _describe(row, explanation, prepared.unit)
        for row, explanation in zip(chosen.to_dict("records"), explanations, strict=True)
    ]
    pictures = [
        ExplainedPicture(square, explanation.heat, row)
        for square, explanation, row in zip(pixels, explanations, described, strict=True)
    ]
    return ExplainedRun(report_explanations(explainer.method, described), plot_explanations(pictures))


def choose_answers(test: pd.DataFrame, task: Task, count: int, *, seed: int) -> pd.DataFrame:
    """Chooses answers to explain: first the gravest mistakes, one a group as far as that goes, then right answers.

    Args:
        test: Rows of table 7.
        task: Of numbers, the larger half of the errors counts as mistakes.
        count: Answers to choose; half of them are mistakes where there are as many of both.
        seed: Seed of the draw among the right answers.

    Returns:
        The chosen rows with a column `is_right`: mistakes first, the most confident (the largest) before the others.
    """
    if task is Task.classification:
        right = test[PREDICTION] == test[LABEL]
        weight = test[PROBABILITY]
    else:
        weight = (test[PREDICTION] - test[TARGET]).abs()
        right = weight <= weight.median()
    marked = test.assign(**{_RIGHT: right, "_weight": weight})
    wrong = marked[~right].sort_values(["_weight", SAMPLE_ID], ascending=[False, True])
    again = wrong[GROUP_ID].duplicated()
    share = max(count // 2, count - int(right.sum()))
    mistakes = pd.concat([wrong[~again], wrong[again]]).head(share)
    hits = draw_rows(
        marked[right], LABEL if task is Task.classification else TARGET, count - len(mistakes), seed=seed
    ).sort_values(["_weight", SAMPLE_ID], ascending=[task is not Task.classification, True])
    return pd.concat([mistakes, hits]).drop(columns="_weight")


def _describe(row: Mapping[Any, Any], explanation: Explanation, unit: str) -> ExplainedImage:
    if LABEL in row:
        answer = f"{prettify_class(row[PREDICTION])} ({100 * row[PROBABILITY]:.0f} %)"
        truth = prettify_class(row[LABEL])
    else:
        answer, truth = (format_quantity(float(row[name]), unit) for name in (PREDICTION, TARGET))
    return ExplainedImage(
        name=str(row[SAMPLE_ID]),
        explained=explanation.explained,
        answer=answer,
        truth=truth,
        is_right=bool(row[_RIGHT]),
        outside_plant=explanation.outside_plant,
        plant_share=explanation.plant_share,
        looks_outside=explanation.looks_outside,
        test=explanation.test,
    )
