"""Features of a backbone that is not trained: computed once for each view of each image, and kept in the cache."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray

from phytoscope.data.cache.cache_care import BYTES_PER_GB, bound_cache
from phytoscope.data.cache.feature_cache import open_feature_store
from phytoscope.data.cache.shards import ShardedArrays
from phytoscope.data.cache.square_reader import Picture
from phytoscope.data.datamodule import Samples
from phytoscope.data.other_machines import map_stretches
from phytoscope.errors import DataValidationError, StorageError, TrainingError
from phytoscope.models.adapters import merge_adapters
from phytoscope.models.adapters.hashing import hash_backbone
from phytoscope.models.network import PlantNetwork
from phytoscope.models.runtime import Extractor, PooledFeatures, build_extractor
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.choices import AugmentPreset, Runtime
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.train.features.views import iterate_view
from phytoscope.train.features.work import Division, FeatureWork, divide
from phytoscope.train.job import TrainingJob
from phytoscope.train.speed.device import choose_device
from phytoscope.transforms.augment import Augmentation, name_changes
from phytoscope.transforms.preprocess import Preprocess

_STACKED = 32
"""Features that are handed on together where they come one by one."""


@dataclass(frozen=True)
class ViewRecipe:
    """How augmented views are made.

    Attributes:
        augmentation: The random change.
        preset: Its preset.
        seed: Its seed.
        num_workers: Processes that change images; chosen when None.
    """

    augmentation: Augmentation
    preset: AugmentPreset
    seed: int
    num_workers: int | None = None


@dataclass
class FeatureExtraction:
    """Computes features of one network, as it is when this is made, and keeps them.

    Attributes:
        network: The network; adapters are folded into a copy, so that those that change nothing yet share the features
            of the plain backbone.
        preprocess: How images became squares.
        cache_dir: Where caches lie.
        runtime: What computes.
        device: Where torch computes.
        recipe: How augmented views are made; None when there are only images as they are.
        progress: Told about every batch.
        say: Receiver of sentences for the user.
        threads: Threads that compute; one a core when None.
        expected: Images that will be seen in all, for the choice of the runtime; as many as are asked for when None.
        division: How images are divided among other machines; None when this process computes.
        images: Images that were computed, and not found in the cache.
        seconds: Time that this took.
    """

    network: PlantNetwork
    preprocess: Preprocess
    cache_dir: Path
    runtime: Runtime = Runtime.auto
    device: torch.device | None = None
    recipe: ViewRecipe | None = None
    progress: Progress = field(default_factory=SilentProgress)
    say: Callable[[str], None] = lambda _: None
    threads: int | None = None
    expected: int | None = None
    division: Division | None = None
    images: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        plain = copy.deepcopy(self.network).cpu().eval()
        merge_adapters(plain)
        self.network = plain
        # The weights alone do not say what is done with them.
        structure = [str(plain.backbone), timm.__version__]
        self._hash = hash_content([hash_backbone(plain.backbone), structure])
        self._extractor: Extractor | None = None
        self._computed_by: Runtime | None = None

    def read_view(self, samples: Samples, view: int = 0) -> NDArray[np.float16]:
        """Features of one view of each image, from the cache where they are there.

        Args:
            samples: Images, with the hashes of their files.
            view: 0 for images as they are, else the number of an augmented view.

        Returns:
            Shape (N, feature_dim), float16.

        Raises:
            ClusterError: The cluster cannot be reached, or its machines differ from this one.
            ConfigError: The runtime that was asked for cannot run the network.
            DataValidationError: The samples carry no hashes.
            MissingDependencyError: The runtime that was asked for is not installed.
            StorageError: The cache cannot be written or the disk is full; what was finished is kept.
            TrainingError: A feature is not a finite number.
        """
        if len(samples.sha256) != len(samples):
            message = (
                f"{len(samples)} images come with {len(samples.sha256)} file hashes, under which features are kept: "
                "give each its hash, or use trainer.mode=plain."
            )
            raise DataValidationError(message)
        recipe = self.recipe if view > 0 else None
        store = open_feature_store(
            self.cache_dir,
            self._hash,
            self.preprocess,
            self.network.feature_dim,
            changes=AugmentPreset.none.value if recipe is None else name_changes(recipe.augmentation, recipe.preset),
            seed=0 if recipe is None else recipe.seed,
            view=view,
        )

        def compute(positions: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
            yield from self._compute(samples, positions, view)

        found: NDArray[np.float16] = store.complete(samples.sha256, compute, self.progress)[:]
        return found

    @property
    def images_per_s(self) -> float:
        """Images a second over all that was computed; 0 when nothing was."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

    @property
    def computed_by(self) -> Runtime | None:
        """What computed; None when everything was in the cache."""
        return self._computed_by

    def _compute(self, samples: Samples, positions: NDArray[np.int64], view: int) -> Iterator[NDArray[np.float32]]:
        began = time.monotonic()
        self.progress.start(_title(view), len(positions))
        try:
            stream = self._divide(samples, positions, view) or self._stream(samples, positions, view)
            first = time.monotonic()
            done = 0
            for features in stream:
                if not np.isfinite(features).all():
                    message = (
                        "the backbone gives features that are not finite numbers: its weights are damaged, or the "
                        "normalisation of its input is wrong."
                    )
                    raise TrainingError(message)
                yield features
                done += len(features)
                self.images += len(features)
                rate = done / max(1e-9, time.monotonic() - first)
                self.progress.advance(len(features), f"{rate:.0f} images/s")
        finally:
            self.seconds += time.monotonic() - began
            self.progress.finish()

    def _stream(self, samples: Samples, positions: NDArray[np.int64], view: int) -> Iterator[NDArray[np.float32]]:
        recipe = self.recipe if view > 0 else None
        extractor = self._prepare(len(positions))
        self._computed_by = extractor.runtime
        batches = iterate_view(
            samples,
            positions,
            augmentation=None if recipe is None else recipe.augmentation,
            view=view,
            batch_size=extractor.batch_size,
            num_workers=None if recipe is None else recipe.num_workers,
        )
        return extractor.stream(batches)

    def _divide(
        self, samples: Samples, positions: NDArray[np.int64], view: int
    ) -> Iterator[NDArray[np.float32]] | None:
        """Features that other machines compute; None when this one does, because there is too little to divide."""
        division, pixels = self.division, samples.pixels
        if division is None or len(positions) <= division.task_rows:
            return None
        if not samples.paths or not isinstance(pixels, ShardedArrays):
            return None
        runtime = self._choose_runtime(len(positions), division)
        self._computed_by = runtime
        augmentation = self.recipe.augmentation if self.recipe is not None and view > 0 else None
        work = FeatureWork(self.network, self.preprocess, runtime, division.on_gpu, augmentation, view)
        rows = ((samples.paths[place], samples.sha256[place], int(samples.rows[place])) for place in positions.tolist())
        pictures = [Picture(path, sha256, *pixels.locate(row)) for path, sha256, row in rows]
        found = map_stretches(division.engine, work, pictures, title=_title(view), task_rows=division.task_rows)
        return _stack(found, _STACKED)

    def _choose_runtime(self, images: int, division: Division) -> Runtime:
        # Each machine for itself might choose another one, and the numbers would differ by what that rounds.
        if self.runtime is not Runtime.auto:
            return self.runtime
        return Runtime.torch if division.on_gpu else self._prepare(images).runtime

    def _prepare(self, images: int) -> Extractor:
        if self._extractor is None:
            self._extractor = build_extractor(
                PooledFeatures(self.network),
                self.preprocess.size_px,
                self.runtime,
                images=images if self.expected is None else max(images, self.expected),
                device=self.device,
                threads=self.threads,
                say=self.say,
            )
        return self._extractor


def _title(view: int) -> str:
    return "Computing features" if view == 0 else f"Computing features, view {view}"


def _stack(found: Iterator[NDArray[np.float32]], count: int) -> Iterator[NDArray[np.float32]]:
    while some := list(islice(found, count)):
        yield np.stack(some)


def open_extraction(job: TrainingJob, views: int = 0) -> FeatureExtraction:
    """Prepares the extraction of a job's features.

    Args:
        job: Network, preparation, augmentation, settings.
        views: Augmented views that will be asked for, besides the images as they are.
    """
    config = job.config
    recipe = ViewRecipe(job.augmentation, config.data.augment, config.seed, config.trainer.num_workers)
    return FeatureExtraction(
        job.network,
        job.preprocess,
        job.cache_dir,
        runtime=config.trainer.runtime,
        device=choose_device(config.trainer),
        recipe=recipe,
        progress=job.progress,
        say=job.say,
        threads=config.trainer.threads,
        expected=len(job.train) * (views + 1) + len(job.val),
        division=divide(job.engine, config.engine),
    )


def keep_bound(job: TrainingJob) -> None:
    """Brings the cache below its bound after something was added; what this training needs stays.

    Args:
        job: Its cache, its bound, and its pixels.
    """
    pixels = [part.pixels for part in (job.train, job.val)]
    in_use = frozenset[Path]().union(*(source.places for source in pixels if isinstance(source, ShardedArrays)))
    try:
        pruned = bound_cache(job.cache_dir, job.config.paths.cache_max_gb * BYTES_PER_GB, in_use)
    except StorageError as error:
        # What cannot be removed, perhaps because it is somebody else's, must not stop a training.
        job.say(f"cache: it could not be brought below its bound: {error}")
        return
    if pruned.freed_bytes > 0:
        job.say(f"cache: {pruned.freed_bytes / BYTES_PER_GB:.2f} GB that were not used for longest removed")


def extract_features(
    network: PlantNetwork,
    samples: Samples,
    *,
    preprocess: Preprocess,
    cache_dir: Path,
    runtime: Runtime = Runtime.auto,
    device: torch.device | None = None,
    progress: Progress | None = None,
    division: Division | None = None,
) -> NDArray[np.float32]:
    """Pooled features of images as they are, from the cache where they are there.

    Args:
        network: Gives the features; not changed.
        samples: Images, with the hashes of their files.
        preprocess: How images became squares.
        cache_dir: Where caches lie.
        runtime: What computes.
        device: Where torch computes; the processor when None.
        progress: Told about every batch.
        division: How images are divided among other machines; this process computes when None.

    Returns:
        Shape (N, feature_dim), float32, rounded to half precision.

    Raises:
        PhytoscopeError: As `FeatureExtraction.read_view`.
    """
    options: dict[str, Any] = {"division": division}
    if progress is not None:
        options["progress"] = progress
    extraction = FeatureExtraction(network, preprocess, cache_dir, runtime=runtime, device=device, **options)
    return extraction.read_view(samples).astype(np.float32)
