"""The two ways in which an estimator learns: a head on features that stand still, or the network itself."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phytoscope import __version__
from phytoscope.estimators.lesson import Lesson
from phytoscope.estimators.networks import (
    Changes,
    FeatureReader,
    PictureModel,
    RowModel,
    RowNetwork,
    build_model,
    standardise,
)
from phytoscope.estimators.pictures import Pictures
from phytoscope.estimators.random_state import seeded
from phytoscope.models.adapters import Adaptation, adapt_network, merge_adapters
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork, build_network, read_backbone_input
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import state_hash
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.choices import AdaptKind, ResizeMode
from phytoscope.schema.config import RunConfig
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.train_config import AdaptConfig
from phytoscope.train.features.fit import count_views
from phytoscope.train.features.head import HeadRows, choose_head, fit_head
from phytoscope.train.job import TrainingJob
from phytoscope.train.modes import fit_job
from phytoscope.train.plain import build_task
from phytoscope.train.scales.meanings import settle_meaning
from phytoscope.train.speed.device import choose_device
from phytoscope.train.squares import build_preprocess
from phytoscope.transforms.augment import build_augmentation
from phytoscope.transforms.preprocess import Preprocess, choose_resize

_EXAMPLES: Final = 4
_STILL: Final = Adaptation(AdaptConfig(kind=AdaptKind.head), frozenset(), frozenset(), frozenset(), "")


@dataclass(frozen=True)
class Learned:
    """What came out of a lesson.

    Attributes:
        model: Answers.
        penalty: Strength of the penalty that the head was fitted with; None where the network itself was trained.
    """

    model: RowModel | PictureModel
    penalty: float | None


def learn_rows(lesson: Lesson, rows: NDArray[np.float64]) -> Learned:
    """Fits a head to rows of numbers.

    Args:
        lesson: What to learn.
        rows: Array of shape (n, width), finite.

    Raises:
        PhytoscopeError: The values cannot be learned on the scale that was asked for, or the loss is not finite.
    """
    learned = rows[lesson.dealt.learned]
    middle, spread = learned.mean(axis=0), learned.std(axis=0)
    # What varies by no more than rounding would be blown up.
    spread = np.where(spread > 1e-12 * np.abs(middle), spread, 1.0)
    inputs = standardise(rows, middle, spread)
    with seeded():
        network = RowNetwork(rows.shape[1], max(1, len(lesson.class_names)))
    meaning, penalty = _learn_head(lesson, network, inputs[:, None])
    return Learned(RowModel(network, meaning, middle, spread), penalty)


def learn_pictures(lesson: Lesson, pictures: Pictures) -> Learned:
    """Fits a head to the features of pictures, or trains a network on them.

    Args:
        lesson: What to learn.
        pictures: n of them.

    Raises:
        PhytoscopeError: A picture cannot be read, weights cannot be had or do not fit, the values cannot be learned on
            the scale that was asked for, or the loss is not finite.
    """
    config = lesson.config
    preprocess = _fit_preprocess(config, pictures, lesson.dealt.learned)
    with seeded(config.seed):
        network, origin = build_network(config.model, max(1, len(lesson.class_names)))
    network.eval()
    device = choose_device(config.trainer)
    reader = FeatureReader(network, preprocess, device)
    if config.adapt.kind is AdaptKind.head:
        features = reader.read(pictures, _plan_changes(lesson, preprocess))
        meaning, penalty = _learn_head(lesson, network, features)
    else:
        meaning, penalty = _train_network(lesson, network, reader, pictures, preprocess), None
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    description = _describe(lesson, meaning, preprocess, pictures, state, origin)
    examples = pictures.read_squares(range(min(_EXAMPLES, len(pictures))), preprocess)
    return Learned(build_model(description, state, examples, device), penalty)


def _fit_preprocess(config: RunConfig, pictures: Pictures, learned: NDArray[np.int64]) -> Preprocess:
    spec, data = read_backbone_input(config.model), config.data
    mode, scale = data.resize, None
    if mode in (ResizeMode.auto, ResizeMode.fixed_scale):
        seen = Pictures([pictures.sources[place] for place in learned])
        mode, scale = choose_resize(mode, seen.list_sides_px(data.max_megapixels), spec.size_px)
    return build_preprocess(spec, data, mode, scale)


def _plan_changes(lesson: Lesson, preprocess: Preprocess) -> Changes | None:
    config = lesson.config
    views = count_views(config, len(lesson.target))
    if views == 0:
        return None
    preset = config.data.augment
    augmentation = build_augmentation(preset, size_px=preprocess.size_px, seed=config.seed)
    return Changes(augmentation, views, f"{preset.value} {config.seed}")


def _learn_head(lesson: Lesson, network: PlantNetwork, features: NDArray[np.float32]) -> tuple[Meaning, float]:
    """Fits the head of a network to features of shape (n, 1 + views, F), and leaves it there."""
    dealt = lesson.dealt
    meaning = lesson.fit_meaning(lambda: features[dealt.learned, 0])
    job = lesson.build_job(network, _STILL, meaning)
    strength = lesson.penalty
    if strength is None:
        kept = _stack(job, features, dealt.kept, lesson, changed=False)
        chosen = choose_head(build_task(job), _stack(job, features, dealt.learned, lesson), kept, [])
        strength = chosen.strength
        with torch.inference_mode():
            outputs = torch.nn.functional.linear(kept.inputs, chosen.weight, chosen.bias)
        meaning = settle_meaning(job, outputs.double().numpy())
    # What was kept back has done its work: all rows are learned from with what it chose.
    everything = dataclasses.replace(dealt, learned=np.arange(len(lesson.target)))
    job = dataclasses.replace(lesson, dealt=everything).build_job(network, _STILL, meaning)
    weight, bias = fit_head(build_task(job), _stack(job, features, everything.learned, lesson), strength)
    with torch.no_grad():
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)
    return meaning, strength


def _stack(
    job: TrainingJob, features: NDArray[np.float32], rows: NDArray[np.int64], lesson: Lesson, *, changed: bool = True
) -> HeadRows:
    seen = features[rows] if changed else features[rows, :1]
    target = torch.from_numpy(lesson.scale_target(job.meaning, rows))
    views = seen.shape[1]
    return HeadRows(
        torch.from_numpy(np.concatenate([seen[:, view] for view in range(views)])),
        target.repeat(views, *(1 for _ in target.shape[1:])),
    )


def _train_network(
    lesson: Lesson, network: PlantNetwork, reader: FeatureReader, pictures: Pictures, preprocess: Preprocess
) -> Meaning:
    """Trains a network, folds its adapters in, and leaves the best weights in it."""
    meaning = lesson.fit_meaning(lambda: reader.read(pictures)[lesson.dealt.learned, 0])
    squares = pictures.read_squares(range(len(pictures)), preprocess)
    with TemporaryDirectory(prefix="phytoscope-") as folder, seeded(lesson.config.seed):
        adaptation = adapt_network(network, lesson.config.adapt)
        job = lesson.build_job(
            network,
            adaptation,
            meaning,
            pixels=squares,
            preprocess=preprocess,
            names=pictures.sha256,
            folder=Path(folder),
        )
        fit_job(job)
        network.cpu()
        settled = settle_meaning(job)
        merge_adapters(network)
    return settled


def _describe(
    lesson: Lesson,
    meaning: Meaning,
    preprocess: Preprocess,
    pictures: Pictures,
    state: dict[str, Tensor],
    origin: str,
) -> ModelDescription:
    kept = [pictures.sha256[place] for place in lesson.dealt.kept]
    return ModelDescription(
        name=lesson.config.name,
        model_id=state_hash(state),
        backbone=lesson.config.model.backbone,
        preprocess=preprocess.to_dict(),
        weights_origin=origin,
        data_hash=hash_content([list(pictures.sha256), lesson.target.tolist()]),
        split_hash=hash_content(kept),
        version=__version__,
        **describe_meaning(meaning),
    )
