"""Drawn data sets for trying things out: rosettes of known weight, leaves of known disease."""

from collections.abc import Callable
from pathlib import Path

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.artifact import write_folder_atomic
from phytoscope.schema.progress import Progress, SilentProgress

EXAMPLES = ("biomass", "disease")
_PHOTOS = {"biomass": 2, "disease": 3}


def draw_example(place: Path, example: str, *, size: int | None = None, progress: Progress | None = None) -> bool:
    """Draws an example data set, unless the folder is there already.

    Args:
        place: Folder of the data set.
        example: `biomass` (rosettes with a table of weights) or `disease` (a folder of class folders).
        size: Plants (biomass, two photographs each) or leaves of each class (disease, three photographs each); 120 and
            12 when None.
        progress: Receiver of progress, one unit a photograph.

    Returns:
        Whether it was drawn.

    Raises:
        ConfigError: There is no such example, or the size is too small.
        StorageError: The folder cannot be written to.
    """
    if example not in EXAMPLES:
        message = f"there is no example {example!r}; {suggest(example, EXAMPLES)}"
        raise ConfigError(message)
    if place.exists():
        return False
    draw = _choose_drawing(example, size)
    receiver = progress or SilentProgress()
    receiver.start(f"Drawing {example}", None)
    try:
        with write_folder_atomic(place) as temporary:
            draw(temporary, lambda _count: receiver.advance())
    finally:
        receiver.finish()
    return True


def _choose_drawing(example: str, size: int | None) -> Callable[[Path, Callable[[int], None]], object]:
    from phytoscope.data.synthetic import draw_leaf_dataset, draw_rosette_dataset

    if example == "biomass":
        plants = 120 if size is None else size
        return lambda place, tick: draw_rosette_dataset(place, plants=plants, on_image=tick)
    leaves = 12 if size is None else size
    return lambda place, tick: draw_leaf_dataset(place, leaves_per_class=leaves, on_image=tick)
