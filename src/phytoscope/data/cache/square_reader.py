"""Squares for work on any machine: out of the pixel cache where it can be reached, else out of the image files."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phytoscope.data.cache.shards import ShardedArrays, square_form
from phytoscope.data.cache.square_work import SquareWork
from phytoscope.errors import ArtifactError
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.stream import map_ordered


class Picture(NamedTuple):
    """Where one picture is found.

    Attributes:
        path: The image file.
        sha256: Hash of its content.
        shard: File of the pixel cache that holds its square.
        place: Its row in that file.
    """

    path: str
    sha256: str
    shard: str
    place: int


class SquareReader:
    """Reads squares, few at a time.

    Args:
        work: Decodes those that the cache does not give.
        threads: Files that are decoded side by side.
    """

    def __init__(self, work: SquareWork, threads: int | None) -> None:
        self._work, self._threads = work, threads
        self._form = square_form(work.preprocess.size_px)

    def __call__(self, pictures: Sequence[Picture]) -> NDArray[np.uint8]:
        """Squares of shape (N, S, S, 3), uint8, RGB, 0-255.

        Raises:
            ArtifactError: A file must be decoded and has changed since the data were prepared.
            ImageReadError: A file must be decoded and cannot be read.
        """
        files = list(dict.fromkeys(picture.shard for picture in pictures))
        numbers = {file: number for number, file in enumerate(files)}
        shard_of = np.array([numbers[picture.shard] for picture in pictures], dtype=np.int32)
        places = np.array([picture.place for picture in pictures], dtype=np.int32)
        try:
            # The name of a shard tells what is in it, so that another machine's is the same or is not there.
            return ShardedArrays(files, shard_of, places, self._form)[:]
        except ArtifactError:
            named = [(picture.path, picture.sha256) for picture in pictures]
            return np.stack(list(map_ordered(self._work.prepare, named, self._threads, SilentProgress())))
