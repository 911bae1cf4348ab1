"""Drawn photographs to try things out on."""

from pathlib import Path

from phytoscope.schema.artifact import resolve_path
from phytoscope.sdk.shown_progress import telling
from phytoscope.steps import example_data


def draw_example(example: str, folder: str | Path, *, size: int | None = None, progress: bool = False) -> Path:
    """Draws photographs whose truth is known: no download, the same on every computer.

    Args:
        example: `disease` (a folder with one folder a class: healthy leaves and four diseases) or `biomass` (rosettes
            of known weight, with a table).
        folder: Folder to draw into; one that is there already is left as it is.
        size: Leaves of each class (three photographs each; 12 when None), or plants (two photographs each; 120).
        progress: Whether to show how far it is.

    Returns:
        The folder.

    Raises:
        ConfigError: There is no such example, or the size is too small.
        StorageError: The folder cannot be written to.

    Examples:
        >>> folder = ph.draw_example("biomass", "plants", size=20)
        >>> ph.read(folder).target_name
        'fresh_weight_total'
    """
    place = resolve_path(str(folder), "folder")
    with telling(progress) as told:
        example_data.draw_example(place, example, size=size, progress=told.progress)
    return place
