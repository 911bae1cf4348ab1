"""Batch prediction as work on rows: the same here and on a worker of a cluster."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from phytoscope.errors import PackageError
from phytoscope.predict.batch_pipeline import Answered, answer_images
from phytoscope.predict.covariate_rows import CovariateRows
from phytoscope.predict.engines.equip import equip_predictor
from phytoscope.predict.package_files import open_files
from phytoscope.predict.package_golden import replay_golden
from phytoscope.predict.package_source import find_package
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.source_archives import is_archive, iterate_archive
from phytoscope.predict.source_images import FoundImage
from phytoscope.predict.sources import list_images
from phytoscope.schema.choices import Precision, Runtime


@dataclass(frozen=True)
class PredictWork:
    """Answers for images; see `RowWork`.

    Attributes:
        predictor: The model, where the work is done in this process; it does not travel.
        package: Where a worker finds the model.
        runtime: What computes the network, decided once for all workers.
        precision: With which numbers.
        batch_size: Images a call of the network, decided once as well.
        computing: Threads that torch computes with, and those of another runtime, where the command runs: sums depend
            on their number in the last digit, so all workers take as many, whatever their machine has.
        threads: Threads that read images; None takes one per core.
        known: What is known of the images beside their pictures.
    """

    predictor: Predictor | None
    package: str | None
    runtime: Runtime
    precision: Precision
    batch_size: int
    computing: tuple[int, int]
    threads: int | None = None
    known: CovariateRows | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process."""
        return self.__dict__ | {"predictor": None}

    def open(self, cores: int | None) -> Callable[[Iterable[FoundImage]], Iterator[Answered]]:
        """Loads the model where it is not there; see `RowWork.open`.

        Raises:
            PackageError: The package cannot be read from here, or does not reproduce its golden answers here.
        """
        predictor = self.predictor if self.predictor is not None else self._load()
        threads = self.threads if self.threads is not None else cores
        return partial(answer_images, predictor, batch_size=self.batch_size, workers=threads, known=self.known)

    def _load(self) -> Predictor:
        # Needs the predictor itself.
        from phytoscope.predict.package import load_files, refuse_difference

        if self.package is None:
            message = "the model was not loaded from a package, so a worker of a cluster cannot load it: save it first."
            raise PackageError(message)
        torch_threads, other_threads = self.computing
        torch.set_num_threads(torch_threads)
        files = open_files(find_package(self.package))
        predictor = load_files(files)
        if self.runtime is Runtime.torch and self.precision is Precision.float32:
            refuse_difference(replay_golden(predictor, files), files.path)
        else:
            equip_predictor(predictor, files, self.runtime, self.precision, cores=other_threads)
        return predictor


@dataclass(frozen=True)
class ImageRows:
    """The images that sources name, from one on, each with its bytes where only who reads an archive has them.

    Attributes:
        sources: Files, folders, lists and archives.
        done: Images at the beginning that are left out.
    """

    sources: Sequence[Path]
    done: int = 0

    def __call__(self) -> Iterator[FoundImage]:
        """Yields the images."""
        return (image.load() for image in islice(iterate_images(self.sources), self.done, None))


def iterate_images(sources: Iterable[Path]) -> Iterator[FoundImage]:
    """Yields the images that the sources name, those in archives too; each is loaded before the next is asked for.

    Raises:
        DataNotFoundError: A list cannot be opened.
        DataValidationError: A list has no column of paths, or is a table of another kind.
    """
    for path in list_images(sources):
        if is_archive(path):
            yield from iterate_archive(path)
        else:
            yield FoundImage(str(path))
