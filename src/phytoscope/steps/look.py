"""Rows 1 and 2 of the data flow, which preparing and inspecting share: read, look at every image once, validate."""

from dataclasses import dataclass
from pathlib import Path

from phytoscope.data.facts.image_facts import ImageFacts, read_image_facts
from phytoscope.data.read import read_source
from phytoscope.data.source import Source
from phytoscope.data.validate import Validated, validate_source
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path
from phytoscope.schema.choices import DataKind
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import PATH
from phytoscope.steps.context import RunContext
from phytoscope.storage.mirror import working_folder
from phytoscope.storage.place import as_url


@dataclass(frozen=True)
class LookedAt:
    """The user's data after the one look at them.

    Attributes:
        source: Rows as they were read.
        facts: What is known of the images of `source.rows`, in the same order.
        validated: Usable, unlabelled and rejected rows, and warnings.
    """

    source: Source
    facts: ImageFacts
    validated: Validated


def look_at_data(context: RunContext, source: Source | None = None) -> LookedAt:
    """Reads the user's data, looks at every image that is new or changed, and finds every fault.

    Args:
        context: Settings; nothing is written into its run folder.
        source: The rows when they were read already.

    Raises:
        ConfigError: A setting, a rule or a named column is missing or wrong.
        DataNotFoundError: A folder or table does not exist or is empty.
        DataValidationError: A table cannot be read.
        ClusterError: The cluster cannot be reached, or its machines do not find the images.
        StorageError: The folder of facts cannot be written.
    """
    config = context.config.data
    source = read_source(config) if source is None else source
    facts = read_image_facts(
        list(source.rows[PATH]),
        find_cache_folder(context) / "facts",
        max_megapixels=config.max_megapixels,
        workers=config.workers,
        progress=context.progress,
        engine=context.engine,
    )
    return LookedAt(source, facts, validate_source(source, config, facts, context.progress))


def find_cache_folder(context: RunContext) -> Path:
    """Folder of decoded pixels and of what is known of each image.

    Returns:
        A folder on this computer; that of an address is the near level of a cache that other machines share.

    Raises:
        ConfigError: A path names a home directory that does not exist.
        StorageError: The user's cache cannot be written.
    """
    paths = context.config.paths
    cache_dir = paths.cache_dir if paths.cache_dir is not None else f"{paths.runs_dir}/cache"
    address = as_url(cache_dir)
    if address is not None:
        return working_folder(address)
    return resolve_path(cache_dir, "paths.cache_dir")


def check_outside_data(config: RunConfig, places: list[Path], what: str) -> None:
    """Makes sure that nothing is written into a folder of class folders, where it would count as a class from then on.

    Args:
        config: Which data.
        places: Folders that are written to.
        what: What is written, in words.

    Raises:
        ConfigError: One of them lies inside the data.
    """
    if config.data.kind not in (DataKind.folder, DataKind.plantvillage) or config.data.root is None:
        return
    if as_url(config.data.root) is not None:
        return
    root = resolve_path(config.data.root, "data.root").resolve()
    inside = [place for place in places if place.resolve().is_relative_to(root)]
    if inside:
        message = (
            f"{what} would be written to {str(inside[0])!r}, which lies inside the data {str(root)!r} and "
            "would count as a class there: add paths.runs_dir=DIR (and --output DIR) with a place outside."
        )
        raise ConfigError(message)
