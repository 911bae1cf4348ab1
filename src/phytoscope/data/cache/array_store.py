"""Arrays that were computed of images once, such as features or activations, kept for all runs that need the same.

A store holds one array an image. It is known by the hash of everything that decides the numbers (`about`), and an
array by the SHA-256 of the image's file; it lies in `<cache>/arrays/<key>/shard-<content>/`. What is computed is
published every quarter of a minute, so a killed run loses no more than that.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.data.cache.far_shards import fetch_shards, share_shards
from phytoscope.data.cache.shard_folder import (
    ARRAYS_FOLDER,
    KEY_LENGTH,
    begin_folder,
    check_space,
    find_missing,
    hold_folder,
)
from phytoscope.data.cache.shards import SHARD_FORMAT, Shard, ShardedArrays, ShardForm, join_shards, read_shards
from phytoscope.data.cache.shards import write_shard as publish_shard
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.progress import Progress, SilentProgress

HALF = "<f2"
_PUBLISHED_EVERY_S = 15.0
_ATTEMPTS = 3
Compute = Callable[[NDArray[np.int64]], Iterable[NDArray[Any]]]
"""Takes positions of shape (M,), int64, and gives their arrays in that order, some at a time: (n, *shape) each."""


class ArrayKind(StrEnum):
    """What the arrays of a store are."""

    features = "features"
    activations = "activations"


@dataclass(frozen=True)
class ArrayStore:
    """Arrays of one form, one an image.

    Attributes:
        place: Folder of the shards.
        form: What each array looks like.
        about: Plain values that tell what the arrays are.
    """

    place: Path
    form: ShardForm
    about: dict[str, Any]

    def find_missing(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Positions in `names` whose arrays are not there yet, each image once, shape (M,), int64.

        Args:
            names: SHA-256 of the image files, the same one several times or not.

        Raises:
            StorageError: The folder cannot be opened.
        """
        return _first_positions(names, find_missing(list(names), read_shards(self.place, self.form)))

    def read(self, names: Sequence[str]) -> ShardedArrays:
        """Reads arrays that are all there.

        Args:
            names: SHA-256 of the image files.

        Raises:
            ArtifactError: Some are missing, or another process removed them meanwhile.
        """
        shards = read_shards(self.place, self.form)
        missing = find_missing(list(names), shards)
        if missing:
            message = (
                f"the cache {str(self.place)!r} lacks {len(missing)} of {len(names)} arrays: run the command again."
            )
            raise ArtifactError(message)
        return join_shards(names, shards, self.form)

    def complete(self, names: Sequence[str], compute: Compute, progress: Progress | None = None) -> ShardedArrays:
        """Computes what is missing, keeps it, and reads all of it.

        Several processes may do so at once: one computes, the others wait and take what it made. What was computed
        before an error, or a Ctrl-C, is kept.

        Args:
            names: SHA-256 of the image files, the same one several times or not.
            compute: Called with the positions of missing images in `names`, if there are any. Numbers beyond the
                range of the stored type are cut to it.
            progress: Told when this waits for another process; `compute` reports its own work.

        Returns:
            Arrays in the order of `names`.

        Raises:
            ArtifactError: `compute` gave arrays of another form or number, or somebody else keeps removing the cache.
            StorageError: The folder cannot be written or the disk is full; the shards that were finished are kept.
        """
        for _ in range(_ATTEMPTS):
            shards = read_shards(self.place, self.form)
            if find_missing(list(names), shards):
                shown = progress if progress is not None else SilentProgress()
                with hold_folder(self.place, shown):
                    shards = self._fill(names, compute, shown)
            with contextlib.suppress(ArtifactError):
                return join_shards(names, shards, self.form)
        message = f"the cache {str(self.place)!r} is removed by somebody again and again while it is opened: run again."
        raise ArtifactError(message)

    def _fill(self, names: Sequence[str], compute: Compute, progress: Progress) -> list[Shard]:
        shards = begin_folder(self.place, self.form, {"format": SHARD_FORMAT, **self.about})
        if fetch_shards(self.place, self.form, find_missing(list(names), shards), progress) > 0:
            shards = read_shards(self.place, self.form)
        positions = _first_positions(names, find_missing(list(names), shards))
        if len(positions) == 0:
            return shards
        check_space(self.place, len(positions) * self.form.size_bytes, f"the {self.about['kind']}")
        pending: list[NDArray[Any]] = []
        done, written, last = 0, 0, time.monotonic()

        def publish() -> None:
            # Whole blocks, so that a shard may be a little larger than the others.
            if pending:
                chosen = [names[place] for place in positions[written:done]]
                arrays = (array for block in pending for array in block)
                shards.append(publish_shard(self.place, chosen, arrays, self.form))
                pending.clear()

        blocks = compute(positions)
        try:
            for block in blocks:
                pending.append(self._convert(block, len(positions) - done))
                done += len(block)
                if done - written >= self.form.rows or time.monotonic() - last > _PUBLISHED_EVERY_S:
                    publish()
                    written, last = done, time.monotonic()
        finally:
            # What computes may have processes of its own, which must not outlive an error here.
            close = getattr(blocks, "close", None)
            if close is not None:
                close()
            publish()
            share_shards(self.place, shards)
        if done < len(positions):
            message = f"{done} arrays were computed where {len(positions)} were asked for."
            raise ArtifactError(message)
        return shards

    def _convert(self, block: NDArray[Any], most: int) -> NDArray[Any]:
        if block.shape[1:] != self.form.shape or len(block) > most:
            message = (
                f"arrays of shape {block.shape} were computed where at most {most} of shape {self.form.shape} "
                "belong: the cache takes no others."
            )
            raise ArtifactError(message)
        dtype = np.dtype(self.form.dtype)
        if block.dtype != dtype and dtype.kind == "f":
            limits = np.finfo(dtype)
            block = block.clip(limits.min, limits.max)
        return block.astype(dtype, copy=False)


def open_array_store(
    cache_dir: Path, kind: ArrayKind, about: dict[str, Any], shape: tuple[int, ...], dtype: str = HALF
) -> ArrayStore:
    """Names the store of some arrays; nothing is read or written yet.

    Args:
        cache_dir: Where caches lie.
        kind: What the arrays are.
        about: Plain values that together decide the numbers: weights, pixels, augmentation, seed, view.
        shape: Shape of one array.
        dtype: Its type as numpy writes it; half precision (IEEE 754 binary16) by default.
    """
    content = {"kind": kind.value, "shape": list(shape), "dtype": dtype, **about}
    key = hash_content([SHARD_FORMAT, content])[:KEY_LENGTH]
    return ArrayStore(cache_dir / ARRAYS_FOLDER / key, ShardForm(tuple(shape), dtype), content)


def _first_positions(names: Sequence[str], missing: set[str]) -> NDArray[np.int64]:
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if name in missing:
            first.setdefault(name, position)
    return np.array(list(first.values()), dtype=np.int64)
