"""Where a package comes from: a folder, or a registry by `models:/NAME@champion`."""

import os
from pathlib import Path
from typing import Final

from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import find_user_cache, hash_content, hash_file, read_json
from phytoscope.storage.bringing import bring_here
from phytoscope.track.model_version import PACKAGE_TAG, REFERENCE, ModelVersion, parse_reference
from phytoscope.track.registry import Registry
from phytoscope.track.target import URI_VARIABLE, WORKSPACE_VARIABLE, local_uri

_DESCRIPTION: Final = "package.json"
_FILE: Final = "sqlite:///"


def choose_uri(uri: str | None = None) -> str:
    """Where models are registered: what was named, else MLFLOW_TRACKING_URI, else the store of the pipeline's directory
    that PHYTOSCOPE_WORKSPACE names, else that of the folder `runs`.

    Args:
        uri: Address of an MLflow store.
    """
    named = uri if uri is not None else os.environ.get(URI_VARIABLE, "").strip()
    workspace = os.environ.get(WORKSPACE_VARIABLE, "").strip()
    return named or local_uri(Path(workspace or "runs", "mlflow").absolute())


def find_cache() -> Path:
    """The folder that downloaded packages are kept in: `phytoscope/models` in XDG_CACHE_HOME, else in `~/.cache`."""
    return find_user_cache() / "models"


def resolve_package(text: str, uri: str | None = None, cache: Path | None = None) -> Path:
    """Finds the folder of a package.

    Args:
        text: A folder, an address of a store, `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        uri: Address of the registry; see `choose_uri`.
        cache: Folder that downloaded packages are kept in; see `find_cache`.

    Returns:
        The folder; one that was downloaded before is used again while it is whole.

    Raises:
        ConfigError: The text or the address cannot be read.
        ArtifactError: There is no such registry or model, or not the one that was registered.
        TrackingError: The registry does not answer.
        StorageError: The cache cannot be written.
    """
    if not text.startswith(REFERENCE):
        return bring_here(text)
    name, which = parse_reference(text)
    place = find_store(uri)
    registry = Registry(place)
    return keep_package(registry, registry.get(name, which), cache)


def find_store(uri: str | None = None) -> str:
    """Address of the MLflow store that models are looked for in, see `choose_uri`; it is there.

    Args:
        uri: Address of an MLflow store.

    Raises:
        ArtifactError: It is a file that does not exist.
    """
    place = choose_uri(uri)
    # Whoever opens a store that is not there makes an empty one, and looking must not write.
    path = place.removeprefix(_FILE)
    if place.startswith(_FILE) and path and not Path(path).exists():
        message = (
            f"there is no registry at {path!r}: `phytoscope register RUN` makes one; {URI_VARIABLE} or --uri names "
            "another, and PHYTOSCOPE_WORKSPACE the directory of a pipeline."
        )
        raise ArtifactError(message)
    return place


def keep_package(registry: Registry, version: ModelVersion, cache: Path | None = None) -> Path:
    """The folder of the package of a version, downloaded once.

    Args:
        registry: Where it is registered.
        version: Which one.
        cache: Folder that downloaded packages are kept in; see `find_cache`.

    Raises:
        ArtifactError: The package is not the one that was registered.
        TrackingError: The registry does not answer.
        StorageError: The cache cannot be written.
    """
    store = hash_content([registry.uri, version.name, version.run_id, version.source])[:12]
    place = (cache or find_cache()) / f"{version.name}-{version.version}-{store}"
    if _is_whole(place, version.tags.get(PACKAGE_TAG)):
        return place
    return registry.download(version.reference, place)


def _is_whole(folder: Path, expected: str | None) -> bool:
    """Whether a package that was downloaded before is still what it was."""
    description = folder / _DESCRIPTION
    if not description.is_file() or (expected is not None and hash_file(description) != expected):
        return False
    try:
        parts = read_json(description)["sha256"]
        return all((folder / part).is_file() and hash_file(folder / part) == digest for part, digest in parts.items())
    except (ArtifactError, KeyError, TypeError, AttributeError, OSError):
        return False
