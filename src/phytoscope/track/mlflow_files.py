"""Files and folders of a run as artefacts of MLflow; what is sent again takes the place of what was there."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from mlflow import MlflowClient


def send_files(client: "MlflowClient", remote: str, place: Path, folder: str) -> None:
    """Sends a file or a folder.

    Args:
        client: The open client.
        remote: Id of the run.
        place: The file, which goes into `folder`, or the folder whose content goes there. What is no longer there is
            left out: a later event tells of what took its place.
        folder: Folder of the run's artefacts; empty for the top, and for the folder's own name.

    Raises:
        OSError: A file cannot be read or written.
        MlflowException: MLflow does not take it.
    """
    if place.is_file():
        client.log_artifact(remote, str(place), folder or None)
    elif place.is_dir():
        _send_folder(client, remote, place, folder or place.name)


def _send_folder(client: "MlflowClient", remote: str, place: Path, folder: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client.log_artifacts(remote, str(place), folder)
    sent = {f"{folder}/{path.relative_to(place).as_posix()}" for path in place.rglob("*") if path.is_file()}
    # The client would also list the files of MLflow models that happen to have the name of the folder.
    location = str(client.get_run(remote).info.artifact_uri)
    repository: Any = get_artifact_repository(location, tracking_uri=client.tracking_uri)
    for path in list(_list_files(repository, folder)):
        if path not in sent:
            _remove(repository, path)


def _list_files(repository: Any, folder: str) -> Iterator[str]:
    for entry in repository.list_artifacts(folder):
        if entry.is_dir:
            yield from _list_files(repository, entry.path)
        else:
            yield entry.path


def _remove(repository: Any, path: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        repository.delete_artifacts(path)
    except (NotImplementedError, MlflowException, requests.HTTPError):
        # Some stores keep whatever they once had; an old figure beside the new ones harms nobody.
        return
