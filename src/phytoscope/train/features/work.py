"""Features of pictures as work that other machines do: each holds the network once and receives names, not pixels."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import cv2
import numpy as np
import timm
import torch
from numpy.typing import NDArray

from phytoscope.data.cache.feature_cache import number_image
from phytoscope.data.cache.square_reader import Picture, SquareReader
from phytoscope.data.cache.square_work import SquareWork
from phytoscope.data.other_machines import check_versions, leave_out_local, read_versions
from phytoscope.errors import ClusterError
from phytoscope.models.network import PlantNetwork
from phytoscope.models.runtime import Extractor, PooledFeatures, build_extractor
from phytoscope.schema.choices import Runtime
from phytoscope.schema.engine import EngineConfig, RowEngine
from phytoscope.transforms.augment import Augmentation
from phytoscope.transforms.preprocess import Preprocess

# Divided by all batch sizes of the runtimes: the last digits of a feature depend on who stands in the same batch.
_BATCH_CPU, _BATCH_GPU = 32, 128


@dataclass(frozen=True)
class Division:
    """How the images of a training are divided among machines.

    Attributes:
        engine: Hands them out.
        task_rows: Images that are handed out together, whole batches.
        on_gpu: Whether each worker has a GPU.
    """

    engine: RowEngine
    task_rows: int
    on_gpu: bool


def divide(engine: RowEngine | None, config: EngineConfig) -> Division | None:
    """Plans the division of the images of a training; None when all are computed by this process.

    Args:
        engine: Where work is done.
        config: Its settings; `rows_per_task` is rounded up to whole batches.
    """
    other = leave_out_local(engine)
    if other is None:
        return None
    batch = _BATCH_GPU if config.gpus > 0 else _BATCH_CPU
    return Division(other, -(-config.rows_per_task // batch) * batch, config.gpus > 0)


def _read_versions() -> dict[str, str | None]:
    return {**read_versions(), "torch": torch.__version__.partition("+")[0], "timm": timm.__version__}


@dataclass(frozen=True)
class FeatureWork:
    """Takes pictures and gives features of shape (F,), float32; see `RowWork`.

    Attributes:
        network: Gives the features.
        preprocess: How images become squares.
        runtime: What computes, the same on all machines; never `auto`.
        on_gpu: Whether torch computes on a GPU.
        augmentation: Random change of the pictures; None for pictures as they are.
        view: Number of the view, which takes the place of the epoch.
        versions: Versions that decide the numbers; those of the machine where this is made.
    """

    network: PlantNetwork
    preprocess: Preprocess
    runtime: Runtime
    on_gpu: bool
    augmentation: Augmentation | None
    view: int
    versions: dict[str, str | None] = field(default_factory=_read_versions)

    def open(self, cores: int | None) -> Callable[[Iterable[Picture]], Iterator[NDArray[np.float32]]]:
        """Prepares the network; see `RowWork.open`.

        Args:
            cores: Threads that OpenVINO and ONNX Runtime compute with, and that decode.

        Returns:
            Gives features of some pictures at a time, shape (n, feature_dim), float32.

        Raises:
            ClusterError: This machine has other versions, or no GPU where one is asked for.
            ConfigError: The runtime cannot run the network here.
            MissingDependencyError: The runtime is not installed here.
        """
        check_versions(self.versions, _read_versions())
        if self.on_gpu and not torch.cuda.is_available():
            message = (
                "engine.gpus gives each worker a GPU, but torch finds none there: use engine.gpus=0, or nodes with a "
                "GPU and a torch that knows CUDA."
            )
            raise ClusterError(message)
        # OpenCV's threads and those of the network would wait for each other.
        cv2.setNumThreads(1)
        extractor = build_extractor(
            PooledFeatures(self.network),
            self.preprocess.size_px,
            self.runtime,
            device=torch.device("cuda" if self.on_gpu else "cpu"),
            threads=cores,
        )
        reader = SquareReader(SquareWork(self.preprocess), cores)
        return partial(self._compute, extractor, reader)

    def _compute(
        self, extractor: Extractor, reader: SquareReader, pictures: Iterable[Picture]
    ) -> Iterator[NDArray[np.float32]]:
        for features in extractor.stream(self._read_batches(reader, pictures, extractor.batch_size)):
            yield from features

    def _read_batches(
        self, reader: SquareReader, pictures: Iterable[Picture], size: int
    ) -> Iterator[NDArray[np.uint8]]:
        given = iter(pictures)
        while batch := list(islice(given, size)):
            pixels = reader(batch)
            augmentation = self.augmentation
            if augmentation is not None:
                changed = [
                    augmentation(image, index=number_image(picture.sha256), epoch=self.view)
                    for image, picture in zip(pixels, batch, strict=True)
                ]
                pixels = np.stack(changed)
            yield pixels
