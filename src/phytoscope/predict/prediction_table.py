"""Answers for many squares of the pixel cache, as one table that is not judged yet."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.predict.predictor import NO_SIZES, Predictor
from phytoscope.predict.reference_files import FeatureKeeper
from phytoscope.schema.pixels import PixelSource
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import (
    NOVELTY,
    PHOTO_PREFIX,
    PREDICTION,
    PREDICTION_PREFIX,
    PROB_PREFIX,
    PROBABILITY,
    Task,
)
from phytoscope.trust.observed import Observed
from phytoscope.trust.photo import MEASURES


def predict_table(
    predictor: Predictor,
    pixels: PixelSource,
    rows: NDArray[np.int64],
    *,
    sizes: NDArray[np.int64] = NO_SIZES,
    covariates: pd.DataFrame | None = None,
    batch_size: int,
    progress: Progress,
    keeper: FeatureKeeper | None = None,
) -> pd.DataFrame:
    """Answers for many squares of the pixel cache.

    Args:
        predictor: The model.
        pixels: Squares of shape (S, S, 3), uint8, RGB, 0-255, read by their row.
        rows: Which of them, in the order of the result, shape (N,), int64.
        sizes: Width and height of the original images in pixels, shape (N, 2), int64; of length 0 when not known.
        covariates: Columns under the user's names, one row per entry of `rows`; None when nothing is known.
        batch_size: Squares a step.
        progress: Told about every square.
        keeper: Receives the features of all rows; None when nobody wants them.

    Returns:
        Classification: `prediction`, `probability` and `prob/<class>`; regression: `prediction`, and
        `prediction/<name>` for each further target; `novelty`, and `photo/<measure>` for each measure of the
        photograph. None of it is calibrated or judged. One row per entry of `rows`.
    """
    encoder = predictor.meaning.covariates
    known = None if encoder is None or covariates is None else encoder.encode(covariates)
    progress.start("Predicting", len(rows))
    parts: list[Observed] = []
    for start in range(0, len(rows), batch_size):
        part = slice(start, start + batch_size)
        beside = None if known is None else known[part]
        observed, features = predictor.observe_features(pixels[rows[part]], beside, sizes[part])
        parts.append(observed)
        if keeper is not None:
            keeper.add(features)
        progress.advance(len(parts[-1]))
    progress.finish()
    return tabulate_observed(predictor, parts)


def tabulate_observed(predictor: Predictor, parts: Sequence[Observed]) -> pd.DataFrame:
    """What is known of some images, as columns of table 7; see `predict_table`.

    Args:
        predictor: The model.
        parts: What `Predictor.observe` gave, batch by batch; at least one.
    """
    return pd.concat([_tabulate_answers(predictor, parts), _tabulate_measures(parts)], axis=1)


def _tabulate_answers(predictor: Predictor, parts: Sequence[Observed]) -> pd.DataFrame:
    answers = np.concatenate([part.answers for part in parts])
    if predictor.description.task is Task.regression:
        more = [f"{PREDICTION_PREFIX}{target.name}" for target in predictor.meaning.targets[1:]]
        return pd.DataFrame(answers, columns=[PREDICTION, *more])
    names = np.array(predictor.description.class_names, dtype=object)
    table = pd.DataFrame({PREDICTION: names[answers.argmax(axis=1)], PROBABILITY: answers.max(axis=1)})
    probabilities = pd.DataFrame(answers, columns=[f"{PROB_PREFIX}{name}" for name in names])
    return pd.concat([table, probabilities], axis=1)


def _tabulate_measures(parts: Sequence[Observed]) -> pd.DataFrame:
    photo = {f"{PHOTO_PREFIX}{name}": np.concatenate([part.photo[name] for part in parts]) for name in MEASURES}
    return pd.DataFrame({NOVELTY: np.concatenate([part.novelty for part in parts]), **photo})
