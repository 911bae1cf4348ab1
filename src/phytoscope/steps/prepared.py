"""What the later steps read of the first one: manifest and split joined, and their pixels."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from phytoscope.data.cache.cache_care import BYTES_PER_GB, bound_cache
from phytoscope.data.cache.pixel_cache import PixelCache, open_pixel_cache
from phytoscope.data.split import hash_manifest, hash_split
from phytoscope.errors import StorageError
from phytoscope.schema.table import GROUP_ID, SAMPLE_ID, SPLIT, Split
from phytoscope.steps.context import RunContext, check_whole
from phytoscope.steps.look import find_cache_folder
from phytoscope.transforms.preprocess import Preprocess

DECLARED_GROUP = "declared_group_id"
"""Group of a row as the user declared it, before groups that share a picture were joined."""


@dataclass(frozen=True)
class PreparedData:
    """Manifest joined with the split, and their hashes.

    Attributes:
        rows: One row an image.
        split: The split as it was drawn.
        data_hash: Content hash of the manifest, the data's version.
        split_hash: Content hash of the split.
        unit: Unit of the target, from the settings or from the name of its column; may be empty.
        unlabelled: One row a good image without an answer, with the group that was declared for it.
    """

    rows: pd.DataFrame
    split: pd.DataFrame
    data_hash: str
    split_hash: str
    unit: str
    unlabelled: pd.DataFrame = field(default_factory=pd.DataFrame)

    def of(self, split: Split) -> pd.DataFrame:
        """The rows of one split."""
        return self.rows[self.rows[SPLIT] == split.value]


def read_prepared(context: RunContext) -> PreparedData:
    """Reads what the prepare step wrote.

    Raises:
        ArtifactError: The step is not finished, or a file was changed or is missing.
    """
    run = context.run
    check_whole(run, "prepare")
    manifest, split = pd.read_parquet(run.manifest), pd.read_parquet(run.split)
    # The group of the split is the joined one; it is the one that counts from here on.
    rows = manifest.rename(columns={GROUP_ID: DECLARED_GROUP}).merge(split, on=SAMPLE_ID, validate="one_to_one")
    unit = str(manifest.attrs.get("unit", context.config.data.unit))
    unlabelled = pd.read_parquet(run.unlabelled)
    return PreparedData(rows, split, hash_manifest(manifest), hash_split(split), unit, unlabelled)


def open_cache(context: RunContext, prepared: PreparedData, preprocess: Preprocess) -> PixelCache:
    """Opens the pixels of all prepared images, decoding first those that nobody has decoded before.

    Afterwards pixels that were not used for longest are removed until the cache is below `paths.cache_max_gb`, but none
    that this run needs.

    Raises:
        ArtifactError: An image has changed since the data were prepared.
        ClusterError: The cluster cannot be reached, or its machines do not find the images.
        ImageReadError: An image can no longer be read.
        StorageError: The cache cannot be written.
    """
    folder = find_cache_folder(context)
    workers = context.config.data.workers
    cache = open_pixel_cache(
        prepared.rows, preprocess, folder, workers=workers, progress=context.progress, engine=context.engine
    )
    if cache.built > 0:
        _keep_bound(context, folder, cache)
    return cache


def _keep_bound(context: RunContext, folder: Path, cache: PixelCache) -> None:
    max_bytes = context.config.paths.cache_max_gb * BYTES_PER_GB
    try:
        pruned = bound_cache(folder, max_bytes, cache.shards)
    except StorageError as error:
        # What cannot be removed, perhaps because it is somebody else's, must not stop a run that has its pixels.
        context.say(f"pixel cache: it could not be brought below its bound: {error}")
        return
    if pruned.freed_bytes > 0:
        context.say(f"pixel cache: {pruned.freed_bytes / BYTES_PER_GB:.2f} GB that were not used for longest removed")
    if cache.size_bytes > max_bytes:
        context.say(
            f"pixel cache: this run alone needs {cache.size_bytes / BYTES_PER_GB:.2f} GB, more than "
            f"paths.cache_max_gb={context.config.paths.cache_max_gb:g}; it is kept"
        )
