"""One run in MLflow: what each kind of event becomes there."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from phytoscope.errors import PackageError
from phytoscope.schema.events import EndStatus, Event, EventKind
from phytoscope.track.mlflow_client import uploading
from phytoscope.track.mlflow_files import send_files
from phytoscope.track.mlflow_package import copy_package
from phytoscope.track.mlflow_words import (
    CHANGED,
    END_REASON,
    MODEL_PROBLEM,
    OWN,
    PARENT_RUN,
    RUN_KEY,
    STATUSES,
    STEP_MARK,
    build_datasets,
    build_metrics,
    clean_name,
    name_tag,
    word_param,
    word_tag,
)
from phytoscope.track.sink import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

# Limits of the server for one request.
_METRICS_A_REQUEST = 1000
_WORDS_A_REQUEST = 100

Entry = TypeVar("Entry")


class MlflowRun:
    """Tells events of one open run."""

    def __init__(self, client: "MlflowClient", experiment: str, run: TrackedRun, *, pyfunc: bool) -> None:
        """Takes the run.

        Args:
            client: The open client.
            experiment: Id of its experiment.
            run: The run with its `remote` id.
            pyfunc: Whether its package is also kept as an MLflow model.
        """
        self._client = client
        self._experiment = experiment
        self._run = run
        self._pyfunc = pyfunc
        self._facts: dict[str, str] = {}

    def tell(self, events: Sequence[Event]) -> dict[str, str]:
        """Tells events in their order.

        Returns:
            `model_uri` when a package was among them and became an MLflow model.
        """
        tellers = {
            EventKind.begin: self._begin,
            EventKind.params: self._tell_params,
            EventKind.dataset: self._tell_dataset,
            EventKind.artifact: self._tell_artifact,
            EventKind.package: self._tell_package,
            EventKind.tags: self._tell_tags,
            EventKind.end: self._end,
        }
        metrics: list[Metric] = []
        for event in events:
            if event.kind in tellers:
                # An event after some numbers is told after them, so what was told is always a beginning of the log.
                self._tell_metrics(metrics)
                metrics = []
                tellers[event.kind](event)
            else:
                metrics += build_metrics(event)
        self._tell_metrics(metrics)
        return self._facts

    def _begin(self, event: Event) -> None:
        name = str(event.content.get("name") or self._run.name)
        self._client.update_run(self._run.remote, "RUNNING", name)
        link_parent(self._client, self._experiment, self._run.remote, self._run.parent)

    def _tell_params(self, event: Event) -> None:
        from mlflow.entities import Param

        data = self._client.get_run(self._run.remote).data
        wanted = {clean_name(name): word_param(value) for name, value in event.content["params"].items()}
        new = [Param(name, value) for name, value in wanted.items() if name not in data.params]
        for some in _batch(new, _WORDS_A_REQUEST):
            self._client.log_batch(self._run.remote, params=some, synchronous=True)
        # MLflow keeps the first value of a param for good; a run that goes on elsewhere may have other paths.
        other = {name: value for name, value in wanted.items() if data.params.get(name, value) != value}
        self._set_tags({clean_name(f"{CHANGED}{name}"): value for name, value in other.items()})
        for name in wanted.keys() - other.keys():
            tag = clean_name(f"{CHANGED}{name}")
            if tag in data.tags:
                self._client.delete_tag(self._run.remote, tag)

    def _tell_dataset(self, event: Event) -> None:
        self._client.log_inputs(self._run.remote, build_datasets(event.content))
        hashes = {name: event.content[name] for name in ("data_hash", "split_hash") if name in event.content}
        self._set_tags({f"{OWN}{name}": value for name, value in hashes.items()})

    def _tell_metrics(self, metrics: Sequence["Metric"]) -> None:
        for some in _batch(metrics, _METRICS_A_REQUEST):
            self._client.log_batch(self._run.remote, metrics=some, synchronous=True)

    def _tell_artifact(self, event: Event) -> None:
        place = self._run.root / str(event.content["path"])
        with uploading():
            send_files(self._client, self._run.remote, place, str(event.content.get("folder", "")))

    def _tell_package(self, event: Event) -> None:
        with tempfile.TemporaryDirectory(prefix="phytoscope-") as folder, uploading():
            package = Path(folder) / "package"
            is_whole = copy_package(self._run.root / str(event.content["path"]), package)
            # What is no longer there is left out: a later event tells of what took its place.
            if not package.is_dir():
                return
            send_files(self._client, self._run.remote, package, "package")
            if self._pyfunc:
                self._keep_model(package, is_whole=is_whole)

    def _keep_model(self, package: Path, *, is_whole: bool) -> None:
        from mlflow.exceptions import MlflowException

        from phytoscope.track.pyfunc import keep_model

        # What will not get better by telling it again is said, and the rest of the log is told.
        problem = "" if is_whole else "the package is not complete, or damaged"
        if is_whole:
            try:
                self._facts["model_uri"] = keep_model(self._client, self._experiment, self._run.remote, package)
            except PackageError as error:
                problem = str(error)
            except MlflowException as error:
                if error.error_code != "ENDPOINT_NOT_FOUND":
                    raise
                problem = "the server is older than MLflow 3 and keeps no models"
        self._mark(MODEL_PROBLEM, problem)

    def _tell_tags(self, event: Event) -> None:
        # The marks of the steps tell the log what it holds already, and nobody else anything.
        tags = {name: word for name, word in event.content["tags"].items() if not name.startswith(STEP_MARK)}
        words = {name_tag(name): value for name, value in tags.items()}
        if "git_commit" in tags:
            words["mlflow.source.git.commit"] = tags["git_commit"]
        self._set_tags(words)

    def _end(self, event: Event) -> None:
        status = STATUSES[EndStatus(event.content["status"])]
        self._mark(END_REASON, str(event.content.get("reason", "")))
        link_parent(self._client, self._experiment, self._run.remote, self._run.parent)
        self._client.set_terminated(self._run.remote, status, round(event.time * 1000))

    def _mark(self, tag: str, words: str) -> None:
        """Sets a tag, or takes it away when there is nothing to say."""
        if words:
            self._set_tags({tag: words})
        elif tag in self._client.get_run(self._run.remote).data.tags:
            self._client.delete_tag(self._run.remote, tag)

    def _set_tags(self, tags: Mapping[str, Any]) -> None:
        from mlflow.entities import RunTag

        words = [RunTag(clean_name(name), word_tag(value)) for name, value in tags.items()]
        for some in _batch(words, _WORDS_A_REQUEST):
            self._client.log_batch(self._run.remote, tags=some, synchronous=True)


def link_parent(client: "MlflowClient", experiment: str, remote: str, parent: str | None) -> None:
    """Puts a run below its parent, when it has one that MLflow knows already.

    Args:
        client: The open client.
        experiment: Id of the experiment of both.
        remote: Id of the run.
        parent: Key of the parent in the event log.
    """
    if parent is None:
        return
    found = client.search_runs([experiment], f"tags.`{RUN_KEY}` = '{parent}'", max_results=1)
    if found:
        client.set_tag(remote, PARENT_RUN, found[0].info.run_id)


def _batch(entries: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
