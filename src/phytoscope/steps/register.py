"""A run becomes a version of a registered model: MLflow is told of it first, then the version is made."""

import dataclasses
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from phytoscope.errors import ArtifactError, TrackingError
from phytoscope.schema.artifact import hash_file, read_json
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.config import RunConfig
from phytoscope.schema.events import EventKind, EventLog, read_events
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import read_prepared
from phytoscope.steps.telling import tell_evaluation, tell_package, tell_training
from phytoscope.steps.tracking import ended
from phytoscope.track.courier import deliver, read_delivered
from phytoscope.track.model_version import CHALLENGER, CHAMPION, PACKAGE_TAG, PREFIX
from phytoscope.track.registry import Registry
from phytoscope.track.target import TrackTarget, find_uri

RUN_DIR_TAG: Final = f"{PREFIX}run_dir"
HOST_TAG: Final = f"{PREFIX}host"
METRIC_TAG, VALUE_TAG, UNIT_TAG = f"{PREFIX}metric", f"{PREFIX}value", f"{PREFIX}unit"
DATA_TAG, SPLIT_TAG = f"{PREFIX}data_hash", f"{PREFIX}split_hash"
_DESCRIPTION: Final = "package.json"


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes:
        name: Name of the model.
        version: Its number.
        model_id: Hash of the weights.
        uri: Address of the registry.
        run_id: The MLflow run it came from.
    """

    name: str
    version: int
    model_id: str
    uri: str
    run_id: str

    @property
    def reference(self) -> str:
        """The text that names it wherever a package is asked for."""
        return f"models:/{self.name}/{self.version}"


def register_run(context: RunContext, *, name: str | None = None) -> Registered:
    """Makes the package of a run a version of a model, and the model's challenger; a second time nothing changes.

    Args:
        context: Settings and folder; `track` says where and under which name.
        name: Name of the model; when None, `track.model_name`, else the name of the run.

    Raises:
        ArtifactError: The run has no package.
        ConfigError: The name or the address cannot be used.
        TrackingError: MLflow does not answer.
        MissingDependencyError: MLflow is not installed.
    """
    config, run = context.config, context.run
    about = read_package(run.package)
    target = build_target(config)
    registry = Registry(target.place)
    run_id, model_uri = _deliver(context, target)
    chosen = name or config.track.model_name or config.name
    version = registry.register(
        chosen, run_id=run_id, model_uri=model_uri, model_id=about["model_id"], tags=_list_tags(run, about)
    )
    champion = registry.find(chosen, CHAMPION)
    if champion is None or champion.version != version:
        registry.set_alias(chosen, CHALLENGER, version)
    return Registered(chosen, version, str(about["model_id"]), registry.uri, run_id)


def read_package(folder: Path) -> dict[str, Any]:
    """What a package says of its model, without loading it.

    Raises:
        ArtifactError: There is no package, or its description is damaged.
    """
    if not (folder / _DESCRIPTION).is_file():
        message = f"{str(folder)!r} holds no package: run `phytoscope package paths.run_dir={folder.parent}` first."
        raise ArtifactError(message)
    content = read_json(folder / _DESCRIPTION)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        message = f"{_DESCRIPTION} in {str(folder)!r} is damaged: package the run again."
        raise ArtifactError(message)
    return dict(content["model"])


def build_target(config: RunConfig) -> TrackTarget:
    """The MLflow store that a run is registered in, whoever else is told of it.

    Args:
        config: `track` and `paths.runs_dir` are read.
    """
    track = config.track
    return TrackTarget(TrackSink.mlflow, find_uri(config), track.experiment, pyfunc=track.pyfunc)


def _deliver(context: RunContext, target: TrackTarget) -> tuple[str, str]:
    """Tells MLflow of the run; gives the id of the run there and where its package is."""
    run = context.run
    key = _find_packaged(run)
    if key is None:
        _tell_all(context)
        key = _find_packaged(run)
    delivery = deliver(run.root, target)
    found = read_delivered(run.root, target).get(key or "")
    if delivery.waiting > 0 or found is None:
        why = delivery.error or f"{delivery.waiting} events are waiting"
        message = f"the run {str(run.root)!r} cannot be registered, because MLflow could not be told of it: {why}"
        raise TrackingError(message)
    return found.remote, found.facts.get("model_uri") or f"runs:/{found.remote}/package"


def _find_packaged(run: RunFolder) -> str | None:
    """Key of the tracked run whose package lies in the folder; None when its event log does not tell of one."""
    path = EventLog(run).path
    if not path.exists():
        return None
    return next((e.run for e in reversed(list(read_events(path))) if e.kind is EventKind.package), None)


def _tell_all(context: RunContext) -> None:
    """Writes the event log of a run that was made before there was one."""
    journal = EventLog(context.run)
    telling = dataclasses.replace(context, journal=journal)
    with context.run.locked():
        prepared = read_prepared(telling)
        with ended(journal):
            tell_training(telling, prepared)
            tell_evaluation(telling, prepared)
            tell_package(telling, prepared)


def _list_tags(run: RunFolder, about: dict[str, Any]) -> dict[str, str]:
    metric = "macro_f1" if about["task"] == "classification" else "rmse"
    value = about.get("metrics", {}).get(f"test/{metric}")
    tags = {
        PACKAGE_TAG: hash_file(run.package / _DESCRIPTION),
        RUN_DIR_TAG: str(run.root.absolute()),
        HOST_TAG: platform.node(),
        DATA_TAG: str(about["data_hash"]),
        SPLIT_TAG: str(about["split_hash"]),
        f"{PREFIX}task": str(about["task"]),
        METRIC_TAG: metric,
        UNIT_TAG: str(about["unit"]) if metric == "rmse" else "",
    }
    return tags if value is None else {**tags, VALUE_TAG: f"{value:.6g}"}
