"""MLflow as a receiver of events: one run from training to package, found again by its key however often it is told."""

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phytoscope import __version__
from phytoscope.errors import TrackingError
from phytoscope.schema.events import Event
from phytoscope.track.mlflow_client import answering, find_local_folder, hide_secret, open_client
from phytoscope.track.mlflow_run import MlflowRun, link_parent
from phytoscope.track.mlflow_words import OWN, PARENT_KEY, PARENT_RUN, RUN_KEY
from phytoscope.track.sink import TrackedRun
from phytoscope.track.target import TrackTarget

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow shows the pages for trained models, and not those for language models.
_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}


class MlflowSink:
    """Tells MLflow about runs. Whatever is told twice is there once; see `Sink`."""

    def __init__(self, target: TrackTarget) -> None:
        """Takes the target; MLflow is asked only when a run is opened.

        Args:
            target: Its `place` is the tracking URI.
        """
        self._target = target
        self._client: MlflowClient | None = None
        self._experiment = ""

    def open(self, run: TrackedRun) -> str:
        """Finds the run by its id or by its key, or creates it; see `Sink`.

        A run that somebody deleted in MLflow is not taken up again: it is created anew, under another id.

        Raises:
            TrackingError: MLflow does not answer, or the experiment is deleted.
            StorageError: The local store cannot be written.
            MissingDependencyError: MLflow is not installed.
        """
        with answering(self._target.place):
            client = self._connect()
            experiment = self._find_experiment(client)
            if run.remote and _is_there(client, run.remote):
                return run.remote
            found = _search(client, experiment, RUN_KEY, run.key)
            # The oldest: should there ever be two, every process takes the same one.
            remote = found[-1].info.run_id if found else self._create(client, experiment, run)
            link_parent(client, experiment, remote, run.parent)
            _adopt_children(client, experiment, remote, run.key)
        return remote

    def send(self, run: TrackedRun, events: Sequence[Event]) -> dict[str, str]:
        """Tells some events; see `Sink`.

        Returns:
            `url` of the run's page when MLflow is a server, and `model_uri` once the package is an MLflow model.

        Raises:
            TrackingError: MLflow does not answer, or the run was deleted there.
            StorageError: The local store cannot be written.
            MissingDependencyError: MLflow is not installed.
        """
        with answering(self._target.place):
            client = self._connect()
            experiment = self._find_experiment(client)
            if not _is_there(client, run.remote):
                message = f"the run {run.name!r} is no longer in MLflow at {hide_secret(self._target.place)!r}: it was "
                message += "deleted there; `phytoscope track sync` tells it anew."
                raise TrackingError(message)
            facts = MlflowRun(client, experiment, run, pyfunc=self._target.pyfunc).tell(events)
        return {**self._locate(experiment, run.remote), **facts}

    def close(self) -> None:
        """Lets go of the client."""
        self._client = None
        self._experiment = ""

    def _connect(self) -> "MlflowClient":
        if self._client is None:
            self._client = open_client(self._target.place)
        return self._client

    def _find_experiment(self, client: "MlflowClient") -> str:
        if not self._experiment:
            self._experiment = self._create_experiment(client)
        return self._experiment

    def _create_experiment(self, client: "MlflowClient") -> str:
        from mlflow.exceptions import MlflowException

        name, folder = self._target.experiment, find_local_folder(self._target.place)
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                location = None if folder is None else (folder / "artifacts").as_uri()
                return client.create_experiment(name, location, tags=_MODEL_TRAINING)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            # Another process was faster.
            found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            message = (
                f"the experiment {name!r} is deleted in MLflow at {hide_secret(self._target.place)!r}: restore it "
                "there, or choose another with track.experiment=NAME."
            )
            raise TrackingError(message)
        return str(found.experiment_id)

    def _create(self, client: "MlflowClient", experiment: str, run: TrackedRun) -> str:
        tags = {
            RUN_KEY: run.key,
            f"{OWN}kind": run.kind.value,
            f"{OWN}version": __version__,
            "mlflow.source.name": "phytoscope",
            "mlflow.source.type": "LOCAL",
        }
        if run.parent is not None:
            tags[PARENT_KEY] = run.parent
        if user := _find_user():
            tags["mlflow.user"] = user
        created = client.create_run(experiment, round(run.began * 1000), tags, run.name)
        return str(created.info.run_id)

    def _locate(self, experiment: str, remote: str) -> dict[str, str]:
        if find_local_folder(self._target.place) is not None:
            return {}
        place = hide_secret(self._target.place).rstrip("/")
        return {"url": f"{place}/#/experiments/{experiment}/runs/{remote}"}


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # Some containers have no names of users.
        return ""


def _is_there(client: "MlflowClient", remote: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(remote).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _search(client: "MlflowClient", experiment: str, tag: str, value: str) -> list["Run"]:
    return list(client.search_runs([experiment], f"tags.`{tag}` = '{value}'", order_by=["attributes.start_time DESC"]))


def _adopt_children(client: "MlflowClient", experiment: str, remote: str, key: str) -> None:
    # A child whose log was told first did not find its parent.
    for child in _search(client, experiment, PARENT_KEY, key):
        if child.data.tags.get(PARENT_RUN) != remote:
            client.set_tag(child.info.run_id, PARENT_RUN, remote)
