"""Decoding image files into the squares of a network, here or on other machines."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from phytoscope.data.other_machines import check_versions, read_versions
from phytoscope.errors import ArtifactError
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import read_bytes
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.stream import map_ordered

HashedFile = tuple[str, str]
"""Path of an image file, and the SHA-256 of its content."""


@dataclass(frozen=True)
class SquareWork:
    """Takes files and gives squares of shape (S, S, 3), uint8, RGB, 0-255; see `RowWork`.

    Attributes:
        preprocess: The preparation.
        versions: Versions that decide the pixels; those of the machine where this is made.
    """

    preprocess: Preprocess
    versions: dict[str, str | None] = field(default_factory=read_versions)

    def open(self, cores: int | None) -> Callable[[Iterable[HashedFile]], Iterator[NDArray[np.uint8]]]:
        """Makes sure that this machine decodes as the one that asks does; see `RowWork.open`.

        Args:
            cores: Files that are decoded side by side.

        Returns:
            Gives squares of shape (S, S, 3), uint8, RGB, 0-255.

        Raises:
            ClusterError: This machine has other versions.
        """
        check_versions(self.versions)
        return partial(map_ordered, self.prepare, workers=cores, progress=SilentProgress())

    def prepare(self, file: HashedFile) -> NDArray[np.uint8]:
        """Decodes one file.

        Args:
            file: Path, and the hash that its content must have.

        Returns:
            Shape (S, S, 3), uint8, RGB, 0-255.

        Raises:
            ArtifactError: The file has changed since the hash was taken.
            ImageReadError: It can no longer be read.
        """
        path, sha256 = file
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            message = (
                f"the image {path!r} has changed since the data were prepared: run the prepare step again, or a new "
                "run (--fresh) if the file kept its size and time."
            )
            raise ArtifactError(message)
        return read_photo(content, self.preprocess, path).square
