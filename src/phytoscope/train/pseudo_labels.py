"""Learning from images without an answer: a trained network answers them, and where it is sure it is believed."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phytoscope.data.datamodule import Samples
from phytoscope.models.meaning import Meaning
from phytoscope.schema.table import Task
from phytoscope.train.job import TrainingJob
from phytoscope.train.speed.device import choose_device
from phytoscope.train.speed.threads import use_threads

_VIEWS = 4
LABELLED_TIMES = 2
"""How often a labelled image stands beside a believed one: an answer that was believed counts half as much."""


@dataclass(frozen=True)
class Believed:
    """Images whose answer is believed.

    Attributes:
        positions: Which of the images without an answer, shape (K,), int64.
        target: Their answers as `Samples.target` holds them, shape (K,) or (K, targets).
    """

    positions: NDArray[np.int64]
    target: NDArray[Any]


def believe_answers(job: TrainingJob, meaning: Meaning) -> Believed:
    """Lets a trained network answer the unlabelled images of its job, and keeps the answers it is sure of.

    Pseudo-labels of Lee 2013 (ICML workshop on challenges in representation learning), from the mean answer over four
    augmented views of each image. Classes: kept where the probability is at least `task.pseudo_threshold`. Numbers:
    kept is the share `task.pseudo_threshold` of the images whose views agree best.

    Args:
        job: A trained job with unlabelled images.
        meaning: What its outputs mean after training.

    Returns:
        The believed ones, perhaps none.
    """
    samples = job.unlabelled
    if samples is None or len(samples) == 0:
        return Believed(np.zeros(0, dtype=np.int64), job.train.target[:0])
    answers = np.stack([meaning.answer(outputs) for outputs in _answer_views(job, samples)])
    threshold = job.config.task.pseudo_threshold
    if meaning.task is Task.classification:
        probs = answers.mean(axis=0)
        kept = choose_sure(probs, threshold)
        return Believed(kept, probs[kept].argmax(axis=1).astype(np.int64))
    spreads = [answers[:, :, place].std(axis=0) for place in range(answers.shape[2])]
    kept = choose_agreeing(np.stack(spreads, axis=1), threshold)
    values = answers.mean(axis=0)[kept]
    scaled = [target.scale.forward(values[:, place]) for place, target in enumerate(job.meaning.targets)]
    return Believed(kept, np.stack(scaled, axis=1).astype(np.float32))


def choose_sure(probs: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Positions of the images whose most probable class is probable enough.

    Args:
        probs: Shape (N, classes).
        threshold: Smallest probability that is believed, 0-1.
    """
    return np.flatnonzero(probs.max(axis=1) >= threshold).astype(np.int64)


def choose_agreeing(spreads: NDArray[np.float64], share: float) -> NDArray[np.int64]:
    """Positions of the images whose views agree best, in order.

    Args:
        spreads: Standard deviation over the views, shape (N, targets); each target counts by its own median spread.
        share: Share of the images to keep, 0-1.
    """
    medians = np.median(spreads, axis=0)
    relative = (spreads / np.where(medians > 0, medians, 1.0)).mean(axis=1)
    count = int(share * len(relative))
    return np.sort(np.argsort(relative, kind="stable")[:count]).astype(np.int64)


def add_believed(train: Samples, unlabelled: Samples, believed: Believed) -> Samples:
    """Training samples with the believed ones: every labelled image stands twice, every believed one once.

    Args:
        train: Labelled samples.
        unlabelled: Images without an answer, in the same pixels.
        believed: Which of them are believed, and what.
    """
    places = believed.positions

    def join(labelled: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([*[labelled] * LABELLED_TIMES, others])

    covariates = train.covariates
    if len(covariates) > 0:
        covariates = join(covariates, unlabelled.covariates[places])
    return dataclasses.replace(
        train,
        pixels=unlabelled.pixels,
        rows=join(train.rows, unlabelled.rows[places]),
        target=join(train.target, believed.target),
        covariates=covariates,
        sha256=(*train.sha256 * LABELLED_TIMES, *(unlabelled.sha256[place] for place in places)),
        group_ids=(*train.group_ids * LABELLED_TIMES, *(unlabelled.group_ids[place] for place in places)),
        paths=(*train.paths * LABELLED_TIMES, *(unlabelled.paths[place] for place in places if unlabelled.paths)),
    )


def _answer_views(job: TrainingJob, samples: Samples) -> NDArray[np.float64]:
    device = choose_device(job.config.trainer)
    network = job.network.to(device).eval()
    size = job.config.trainer.batch_size
    job.progress.start("Answering unlabelled images", _VIEWS * len(samples))
    views = []
    with use_threads(job.config.trainer.threads), torch.inference_mode():
        for view in range(_VIEWS):
            parts = []
            for start in range(0, len(samples), size):
                places = np.arange(start, min(start + size, len(samples)))
                parts.append(network(*_load(job, samples, places, view, device)).double().cpu().numpy())
                job.progress.advance(len(places))
            views.append(np.concatenate(parts))
    network.cpu()
    job.progress.finish()
    return np.stack(views)


def _load(
    job: TrainingJob, samples: Samples, places: NDArray[np.int64], view: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    squares = samples.pixels[samples.rows[places]]
    changed = np.stack(
        [job.augmentation(square, index=int(place), epoch=view) for square, place in zip(squares, places, strict=True)]
    )
    images = torch.from_numpy(np.ascontiguousarray(changed)).permute(0, 3, 1, 2).to(device)
    known = torch.from_numpy(samples.covariates[places]).to(device) if len(samples.covariates) > 0 else None
    return images, known
