"""What a run learns about how far its answers can be believed."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.evaluate.answers import read_labelled
from phytoscope.models.network import PlantNetwork
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import NoveltyKind
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import SPLIT, Split, Task
from phytoscope.steps.context import RunContext
from phytoscope.steps.look import find_cache_folder
from phytoscope.steps.training_job import build_samples
from phytoscope.train.features.extraction import extract_features
from phytoscope.train.features.work import divide
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.novelty import NoveltyReference, fit_novelty
from phytoscope.trust.trust import Trust


def fit_reference(
    context: RunContext, predictor: Predictor, cache: PixelCache, train: pd.DataFrame
) -> NoveltyReference | None:
    """Learns what the training images look like to the network; their features are kept in the cache.

    Args:
        context: Settings; `evaluate.novelty` is read.
        predictor: The trained model; of an ensemble the first network is asked.
        cache: Squares of the images.
        train: Training rows of the manifest.

    Returns:
        None when novelty shall not be measured.

    Raises:
        PhytoscopeError: The features cannot be computed or kept.
    """
    config = context.config
    if config.evaluate.novelty is NoveltyKind.none:
        return None
    network, meaning = predictor.first_member
    samples = build_samples(train, cache, meaning)
    features = extract_features(
        network,
        samples,
        preprocess=predictor.preprocess,
        cache_dir=find_cache_folder(context),
        runtime=config.trainer.runtime,
        progress=context.progress,
        division=divide(context.engine, config.engine),
    )
    known = samples.covariates if network.covariate_dim > 0 else None
    classes = None if config.data.task is Task.regression else np.asarray(samples.target, dtype=np.int64)
    return fit_novelty(
        config.evaluate.novelty,
        features,
        _answer(network, features, known),
        classes,
        seed=config.seed,
        groups=np.array(samples.group_ids, dtype=object),
    )


@torch.inference_mode()
def _answer(
    network: PlantNetwork, features: NDArray[np.float32], covariates: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    known = None if covariates is None else torch.from_numpy(covariates)
    outputs: NDArray[np.float64] = network.answer(torch.from_numpy(features), known).double().numpy()
    return outputs


def read_wishes(config: RunConfig, predictor: Predictor) -> TrustWishes:
    """What the settings want of the answers.

    Args:
        config: `evaluate` and `seed` are read.
        predictor: The model; the scale of each target knows how low it can be.
    """
    wanted = config.evaluate
    return TrustWishes(
        calibration=wanted.calibration,
        coverage=wanted.coverage,
        sets=wanted.sets,
        class_conditional=wanted.class_conditional,
        intervals=wanted.intervals,
        false_reject=wanted.false_reject,
        error_rate=wanted.error_rate,
        confidence=wanted.confidence,
        tolerance=wanted.tolerance,
        lowest=tuple(target.scale.lower for target in predictor.meaning.targets),
        seed=config.seed,
    )


def fit_run_trust(predictions: pd.DataFrame, predictor: Predictor, wishes: TrustWishes) -> Trust:
    """Learns from the calibration and validation rows of table 7 how far answers can be believed.

    Args:
        predictions: Table 7.
        predictor: The model that made it.
        wishes: What is wanted.
    """
    description = predictor.description
    more = [target.name for target in predictor.meaning.targets[1:]]
    parts = {
        split: read_labelled(predictions[predictions[SPLIT] == split], description.task, description.class_names, more)
        for split in (Split.calibration, Split.val)
    }
    return fit_trust(description.task, parts[Split.calibration], parts[Split.val], wishes)
