"""Which way of training is fastest, from a few measured speeds, and why in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from phytoscope.schema.choices import TrainMode
from phytoscope.train.speed.measure import Speeds

_MUST_BE_FASTER = 0.75
_DATA_BOUND = 1.0
_HEAD_FIT_S = 5.0
_MINUTE_S, _HOUR_S = 60, 3600


@dataclass(frozen=True)
class Workload:
    """How much there is to do.

    Attributes:
        train_images: Training images.
        val_images: Validation images.
        epochs: Epochs.
        views: Views of each training image that would be kept.
        size_cost: Mean number of pixels of a training image over the epochs as a share of those at full size, 0-1.
        num_workers: Processes that prepare batches; 0 when the training process does it.
        cache_max_gb: Space for the cache.
        adapt: Name of the adapter.
        head_only: Whether nothing of the backbone is trained.
    """

    train_images: int
    val_images: int
    epochs: int
    views: int
    size_cost: float
    num_workers: int
    cache_max_gb: float
    adapt: str
    head_only: bool


@dataclass(frozen=True)
class Choice:
    """A way of training, and why.

    Attributes:
        mode: The way.
        reason: Why, in one or two sentences.
        seconds: Estimated seconds of each way that is possible.
        cache_gb: Space that the way takes in the cache.
    """

    mode: TrainMode
    reason: str
    seconds: dict[str, float]
    cache_gb: float


def choose_mode(work: Workload, speeds: Speeds, *, plain_only: Sequence[str] = ()) -> Choice:
    """Chooses the fastest way that is possible and fits into the cache.

    Args:
        work: How much there is to do.
        speeds: How fast each part is on this machine.
        plain_only: Settings for which every epoch must run the whole network.
    """
    seconds = {TrainMode.plain.value: estimate_plain(work, speeds)}
    cache_gb = 0.0
    if plain_only:
        why = f"{', '.join(plain_only)} needs the whole network in every epoch"
        return Choice(TrainMode.plain, _explain_plain(work, speeds, seconds, why), seconds, 0.0)
    if work.head_only:
        return _choose_features(work, speeds, seconds)
    trunk_s = estimate_trunk(work, speeds)
    if trunk_s is not None:
        seconds[TrainMode.trunk.value] = trunk_s
        cache_gb = speeds.trunk_bytes * (work.train_images * work.views + work.val_images) / 1e9
        if cache_gb > work.cache_max_gb:
            why = f"trunk mode would need {cache_gb:.1f} GB of cache, above paths.cache_max_gb={work.cache_max_gb:g}"
            return Choice(TrainMode.plain, _explain_plain(work, speeds, seconds, why), seconds, 0.0)
        if trunk_s < _MUST_BE_FASTER * seconds[TrainMode.plain.value]:
            return Choice(TrainMode.trunk, _explain_trunk(work, speeds, seconds, cache_gb), seconds, cache_gb)
        why = f"trunk mode would take {word_duration(trunk_s)}"
    else:
        why = f"adapt={work.adapt} trains from the first layers on, so nothing can be computed once"
    return Choice(TrainMode.plain, _explain_plain(work, speeds, seconds, why), seconds, 0.0)


def estimate_plain(work: Workload, speeds: Speeds) -> float:
    """Seconds of the plain way.

    Args:
        work: How much there is to do.
        speeds: How fast each part is.
    """
    image_s = plain_image_seconds(work, speeds)
    return work.epochs * (work.train_images * image_s + work.val_images * speeds.look_s)


def plain_image_seconds(work: Workload, speeds: Speeds) -> float:
    """Seconds a training image takes in the plain way, preparation and step together.

    Args:
        work: How much there is to do.
        speeds: How fast each part is.
    """
    step_s = speeds.step_s * work.size_cost
    if work.num_workers == 0:
        return step_s + speeds.prepare_s
    alone = speeds.prepare_s / work.num_workers
    # On a CPU both want the same cores: together they cannot be faster than all cores at work all the time.
    shared = 0.0 if speeds.on_gpu else step_s + speeds.prepare_s / speeds.cores
    return max(alone, step_s, shared)


def estimate_trunk(work: Workload, speeds: Speeds) -> float | None:
    """Seconds of the trunk way when nothing is in the cache yet; None when there is no cut.

    Args:
        work: How much there is to do.
        speeds: How fast each part is.
    """
    if speeds.trunk_s is None or speeds.tail_step_s is None:
        return None
    once = _extract_seconds(work, speeds, speeds.trunk_s)
    tail_look_s = max(0.0, speeds.look_s - speeds.trunk_s)
    return once + work.epochs * (work.train_images * speeds.tail_step_s + work.val_images * tail_look_s)


def is_data_bound(work: Workload, speeds: Speeds) -> bool:
    """Whether preparing images, not the network, limits plain training.

    Args:
        work: How much there is to do.
        speeds: How fast each part is.
    """
    hands = work.num_workers if work.num_workers > 0 else 1
    return speeds.prepare_s / hands > _DATA_BOUND * speeds.step_s * work.size_cost


def word_duration(seconds: float) -> str:
    """A duration as people say it, for example `37 s`, `4 min` or `2.5 h`."""
    if seconds < 2 * _MINUTE_S:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < 2 * _HOUR_S else f"{seconds / _HOUR_S:.1f} h"


def _extract_seconds(work: Workload, speeds: Speeds, look_s: float) -> float:
    hands = max(1, work.num_workers)
    shared = 0.0 if speeds.on_gpu else speeds.prepare_s / speeds.cores
    train_s = max(look_s + shared, speeds.prepare_s / hands)
    return work.train_images * work.views * train_s + work.val_images * look_s


def _choose_features(work: Workload, speeds: Speeds, seconds: dict[str, float]) -> Choice:
    extract_s = _extract_seconds(work, speeds, speeds.look_s)
    found = {**seconds, TrainMode.features.value: extract_s + _HEAD_FIT_S}
    per_image_s = extract_s / (work.train_images * work.views + work.val_images)
    times, view = ("once", "view") if work.views == 1 else (f"{work.views} times", "views")
    reason = (
        f"trainer.mode=features: the backbone is not trained (adapt={work.adapt}), so it sees each image only "
        f"{times}: {work.train_images:,} images x {work.views} {view} at about {1 / per_image_s:,.0f} "
        f"images/s take {word_duration(extract_s)} instead of {word_duration(seconds['plain'])}; every later head "
        "takes seconds."
    )
    return Choice(TrainMode.features, reason, found, 0.0)


def _explain_trunk(work: Workload, speeds: Speeds, seconds: dict[str, float], cache_gb: float) -> str:
    once = _extract_seconds(work, speeds, speeds.trunk_s or 0.0)
    tail = 1 / max(speeds.tail_step_s or 0.0, 1e-9)
    return (
        f"trainer.mode=trunk: adapt={work.adapt} trains only the last part of the backbone. The rest runs once over "
        f"{work.train_images:,} images x {work.views} views ({word_duration(once)}, {cache_gb:.2f} GB of cache), then "
        f"{work.epochs} epochs run at about {tail:,.0f} images/s: {word_duration(seconds['trunk'])} in all instead of "
        f"{word_duration(seconds['plain'])}."
    )


def _explain_plain(work: Workload, speeds: Speeds, seconds: dict[str, float], why: str) -> str:
    limit = "data-bound" if is_data_bound(work, speeds) else "compute-bound"
    hands = max(1, work.num_workers)
    return (
        f"trainer.mode=plain: {why}. It is {limit}: images are prepared at {hands / max(speeds.prepare_s, 1e-9):,.0f} "
        f"and trained at {1 / max(speeds.step_s * work.size_cost, 1e-9):,.0f} images/s; {work.epochs} epochs of "
        f"{work.train_images:,} images take about {word_duration(seconds['plain'])}."
    )
