"""What the later steps read of the first one: manifest and split joined, and their pixels."""

from dataclasses import dataclass

import pandas as pd

from phytoscope.data.cache import PixelCache, open_pixel_cache
from phytoscope.data.split import hash_manifest, hash_split
from phytoscope.schema.artifact import resolve_path
from phytoscope.schema.table import GROUP_ID, SAMPLE_ID, SPLIT, Split
from phytoscope.steps.context import RunContext, check_whole
from phytoscope.transforms.preprocess import Preprocess


@dataclass(frozen=True)
class PreparedData:
    """Manifest joined with the split, and their hashes."""

    rows: pd.DataFrame
    split: pd.DataFrame
    data_hash: str
    split_hash: str

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
    rows = manifest.drop(columns=GROUP_ID).merge(split, on=SAMPLE_ID, validate="one_to_one")
    return PreparedData(rows, split, hash_manifest(manifest), hash_split(split))


def open_cache(context: RunContext, prepared: PreparedData, preprocess: Preprocess) -> PixelCache:
    """Opens the pixels of all prepared images, decoding them first when that was not done before.

    Raises:
        ArtifactError: An image has changed since the data were prepared.
        StorageError: The cache cannot be written.
    """
    paths = context.config.paths
    cache_dir = paths.cache_dir if paths.cache_dir is not None else f"{paths.runs_dir}/cache"
    folder = resolve_path(cache_dir, "paths.cache_dir")
    workers = context.config.data.workers
    return open_pixel_cache(prepared.rows, preprocess, folder, workers=workers, progress=context.progress)
