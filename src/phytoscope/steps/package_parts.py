"""What a package holds beside the model: parts that are not needed to answer, but to judge, compare and watch it."""

from collections.abc import Callable
from pathlib import Path

from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.prepared import PreparedData


def list_parts(run: RunFolder, prepared: PreparedData) -> list[Callable[[Path], None]]:
    """Writers of the further parts of a package, each of which receives the package's folder.

    Args:
        run: Folder of the evaluated run.
        prepared: The data it was trained with.
    """
    return []
