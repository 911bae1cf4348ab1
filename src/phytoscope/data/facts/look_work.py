"""One look at every image file, as work that other machines do."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2

from phytoscope.data.facts.look import look_at_file
from phytoscope.data.other_machines import check_versions, read_versions
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.stream import map_ordered

Look = tuple[dict[str, Any], bool]
"""What was found of a file, and whether it stays true as long as the file does not change."""


@dataclass(frozen=True)
class LookWork:
    """Takes paths and gives what is known of the files; see `RowWork`.

    Attributes:
        max_megapixels: Larger images are rejected before they are decoded.
        versions: Versions that decide what is found; those of the machine where this is made.
    """

    max_megapixels: float
    versions: dict[str, str | None] = field(default_factory=read_versions)

    def open(self, cores: int | None) -> Callable[[Iterable[str]], Iterator[Look]]:
        """Makes sure that this machine finds the same as the one that asks; see `RowWork.open`.

        Args:
            cores: Files that are looked at side by side.

        Raises:
            ClusterError: This machine has other versions.
        """
        check_versions(self.versions)
        # A picture is too small to be cut up among threads.
        cv2.setNumThreads(1)
        look = partial(look_at_file, max_megapixels=self.max_megapixels)
        if cores == 1:
            return partial(map, look)
        return partial(map_ordered, look, workers=cores, progress=SilentProgress())
