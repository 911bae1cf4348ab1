"""Where the scales of a training come from, and what is corrected in them once it is over."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from phytoscope.models.meaning import Meaning
from phytoscope.models.sums import Sums
from phytoscope.models.target import LINKED_LOSSES, fit_target_scale
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import TaskConfig
from phytoscope.train.job import TrainingJob
from phytoscope.train.scales.choosing import SMALLEST_GROUPS, choose_transform
from phytoscope.train.scales.passes import compute_outputs
from phytoscope.train.scales.smearing import fit_residuals

Bounds = tuple[float | None, float | None]
# Fewer rows than this say less about a variance than the training targets do.
_ROWS_FOR_VARIANCE = 10


def is_scale_open(config: TaskConfig) -> bool:
    """Whether the curve of the targets is to be chosen by cross-validation.

    It is not with `loss=quantile`, because the squared error says nothing about a quantile, and not with a loss that
    has a scale of its own.
    """
    closed = config.loss in LINKED_LOSSES or config.loss is RegressionLoss.quantile
    return config.target_transform is TargetTransform.auto and not closed


def choose_scales(
    config: TaskConfig,
    meaning: Meaning,
    values: NDArray[np.float64],
    groups: tuple[str, ...],
    *,
    bounds: Sequence[Bounds],
    features: Callable[[], NDArray[np.float32]],
    seed: int,
    say: Callable[[str], None],
) -> Meaning:
    """Puts the scales that cross-validation over training groups prefers in place of those that a rule of thumb gave.

    Args:
        config: The loss, and whether the curve is open.
        meaning: What the outputs are so far.
        values: Training targets, shape (N, targets), the user's units; NaN where a row lacks one.
        groups: Group of each training row.
        bounds: Smallest and largest value that is possible for each target; None when any is.
        features: Computes frozen features of the training rows, shape (N, F), float32; called only when needed.
        seed: Seed of the folds.
        say: Receiver of sentences for the user.

    Returns:
        The meaning with its scales; as it was for classes or where nothing is to be chosen.
    """
    if meaning.task is not Task.regression or not is_scale_open(config):
        return meaning
    if len(set(groups)) < SMALLEST_GROUPS:
        curves = ", ".join(f"{target.name} {target.scale.transform.value}" for target in meaning.targets)
        say(
            f"target_transform=auto: {len(set(groups))} training groups are too few for a cross-validation (needs "
            f"{SMALLEST_GROUPS}); by the skewness of the targets: {curves}"
        )
        return meaning
    seen = features()
    targets = []
    for place, target in enumerate(meaning.targets):
        choice = choose_transform(
            seen, values[:, place], groups, bounds=bounds[place], unbiased=config.unbiased, seed=seed
        )
        if choice is None:
            targets.append(target)
            continue
        reason = choice.describe(target.name, target.unit)
        say(reason)
        scale = fit_target_scale(values[:, place], choice.transform, *bounds[place])
        targets.append(dataclasses.replace(target, scale=dataclasses.replace(scale, reason=reason)))
    return dataclasses.replace(meaning, targets=tuple(targets))


def settle_meaning(job: TrainingJob, outputs: NDArray[np.float64] | None = None) -> Meaning:
    """Corrects the way back to the user's units by what the trained network says of the validation rows.

    Args:
        job: The trained job.
        outputs: What it says of them, shape (N, targets), where that is known; computed when None.

    Returns:
        Its meaning with residuals for each scale, where they help, and with sums weighted by how far each answer was
        off; as it was for classes.
    """
    meaning, config = job.meaning, job.config.task
    if meaning.task is not Task.regression:
        return meaning
    smeared = config.unbiased and config.loss not in (*LINKED_LOSSES, RegressionLoss.quantile)
    if not smeared and meaning.sums is None:
        return meaning
    if outputs is None:
        outputs = compute_outputs(job.network, job.val)
    # Where no groups are known, every image is one.
    groups = job.val.group_ids if len(job.val.group_ids) > 0 else tuple(map(str, range(len(job.val))))
    columns = [
        target.scale.restore(job.val.target[:, place].astype(np.float64))
        for place, target in enumerate(meaning.targets)
    ]
    if smeared:
        targets = tuple(
            dataclasses.replace(target, scale=fit_residuals(target.scale, outputs[:, place], columns[place], groups))
            for place, target in enumerate(meaning.targets)
        )
        meaning = dataclasses.replace(meaning, targets=targets)
    if meaning.sums is not None:
        meaning = dataclasses.replace(meaning, sums=_weigh(meaning.sums, meaning, outputs, columns))
    return meaning


def _weigh(sums: Sums, meaning: Meaning, outputs: NDArray[np.float64], columns: list[NDArray[np.float64]]) -> Sums:
    squared = [
        (target.scale.inverse(outputs[:, place]) - columns[place])[np.isfinite(columns[place])] ** 2
        for place, target in enumerate(meaning.targets)
    ]
    # Variances of training targets and of errors are no common measure, so it is one or the other for all.
    if min(len(found) for found in squared) < _ROWS_FOR_VARIANCE:
        return sums
    return sums.weighted_by([float(found.mean()) for found in squared])
