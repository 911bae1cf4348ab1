"""A package as it is sent: a copy that no later command changes under way."""

import shutil
import time
from pathlib import Path

from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_file, read_json

PACKAGE_DESCRIPTION = "package.json"
# A package that is being replaced is whole again in a moment; one that is damaged never is.
_TRIES = 3
_PAUSE_S = 0.3


def copy_package(place: Path, copy: Path) -> bool:
    """Copies a package.

    Args:
        place: The package in the folder of its run.
        copy: Where the copy shall stand; nothing is there afterwards when there is no package any more.

    Returns:
        Whether every part of the copy is what the package says it is.

    Raises:
        OSError: The copy cannot be written.
    """
    for attempt in range(_TRIES):
        if attempt > 0:
            time.sleep(_PAUSE_S)
        shutil.rmtree(copy, ignore_errors=True)
        try:
            shutil.copytree(place, copy)
        except (FileNotFoundError, shutil.Error):
            continue
        if _is_whole(copy):
            return True
    return False


def _is_whole(package: Path) -> bool:
    try:
        parts = dict(read_json(package / PACKAGE_DESCRIPTION)["sha256"])
        return all(hash_file(package / name) == digest for name, digest in parts.items())
    except (OSError, ArtifactError, KeyError, TypeError, ValueError):
        return False
