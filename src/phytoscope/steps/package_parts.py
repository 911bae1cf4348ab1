"""What a package holds beside the model: parts that are not needed to answer, but to judge, compare and watch it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from phytoscope.predict.reference_files import copy_reference
from phytoscope.predict.seen_files import keep_seen
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import SPLIT, Split
from phytoscope.steps.context import read_settings
from phytoscope.steps.prepared import DECLARED_GROUP, PreparedData


def list_parts(run: RunFolder, prepared: PreparedData) -> list[Callable[[Path], None]]:
    """Writers of the further parts of a package, each of which receives the package's folder.

    Args:
        run: Folder of the evaluated run.
        prepared: The data it was trained with.
    """
    return [copy_reference(run.root), keep_seen(*_list_seen(run, prepared))]


def _list_seen(run: RunFolder, prepared: PreparedData) -> tuple[pd.DataFrame, pd.Series]:
    """Images that the model learned from or was calibrated on, and their groups as they were declared."""
    rows = prepared.rows[prepared.rows[SPLIT] != Split.test.value]
    settings = read_settings(run.config)
    if isinstance(settings, dict) and settings.get("task", {}).get("pseudo_labels"):
        rows = pd.concat([rows, prepared.unlabelled], ignore_index=True)
    return rows, rows[DECLARED_GROUP]
