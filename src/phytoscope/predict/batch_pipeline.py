"""From images that are found to answers: reading, computing and writing at the same time."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ImageReadError
from phytoscope.predict.covariate_rows import CovariateRows
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.source_images import FoundImage
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.photo import Photo, read_photo
from phytoscope.transforms.stream import map_ordered


@dataclass(frozen=True)
class Answered:
    """Some images with their answers, and how many of them have no row of covariates."""

    images: list[FoundImage]
    rows: list[Prediction]
    unmatched: int


@dataclass(frozen=True)
class _Prepared:
    image: FoundImage
    photo: Photo | None
    fault: str = ""


@dataclass(frozen=True)
class _Batch:
    prepared: list[_Prepared]
    covariates: NDArray[np.float32] | None
    unmatched: int


def answer_images(
    predictor: Predictor,
    images: Iterable[FoundImage],
    *,
    batch_size: int,
    workers: int | None,
    known: CovariateRows | None,
) -> Iterator[Answered]:
    """Answers for images in their order, with few of them in memory.

    Threads read and measure photographs, others compute, and the caller writes, all at the same time.

    Args:
        predictor: The model.
        images: The images; asked for only as fast as they are answered.
        batch_size: Images a call of the network.
        workers: Threads that read images; None takes one per core.
        known: What is known of the images beside their pictures.
    """
    quiet = SilentProgress()

    def prepare(image: FoundImage) -> _Prepared:
        image = image.check()
        try:
            photo = read_photo(image.fetch(), predictor.preprocess, image.name, measured=True)
        except ImageReadError as error:
            return _Prepared(dataclasses.replace(image, content=None), None, error.reason)
        return _Prepared(dataclasses.replace(image, content=None), photo)

    def answer(batch: _Batch) -> Answered:
        read = [(name_image(one.image), one.photo) for one in batch.prepared if one.photo is not None]
        found = iter(predictor.answer([name for name, _ in read], [photo for _, photo in read], batch.covariates))
        rows = [
            next(found) if one.photo is not None else Prediction(name_image(one.image), error=one.fault)
            for one in batch.prepared
        ]
        return Answered([one.image for one in batch.prepared], rows, batch.unmatched)

    # What lies in an archive must be read before the next one is looked for, so not by the threads.
    prepared = map_ordered(prepare, (image.load() for image in images), workers, quiet)
    yield from map_ordered(answer, _collect(prepared, batch_size, known), predictor.engine.lanes, quiet)


def name_image(image: FoundImage) -> str:
    """Name of an image as it can be written into a table."""
    return image.name.encode("utf-8", "backslashreplace").decode("utf-8")


def _collect(prepared: Iterator[_Prepared], size: int, known: CovariateRows | None) -> Iterator[_Batch]:
    while batch := list(islice(prepared, size)):
        read = [Path(one.image.name) for one in batch if one.photo is not None]
        before = 0 if known is None else known.unmatched
        covariates = None if known is None or not read else np.stack([known.find(path) for path in read])
        yield _Batch(batch, covariates, 0 if known is None else known.unmatched - before)
