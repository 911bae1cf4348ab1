"""Whom a run is told to, resolved from the settings and kept beside the run, so that it can be told later too."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.address import as_url
from phytoscope.schema.artifact import hash_content, read_json, resolve_path, write_json
from phytoscope.schema.choices import TrackSink, WandbMode
from phytoscope.schema.config import RunConfig
from phytoscope.schema.operate import holds_password

URI_VARIABLE = "MLFLOW_TRACKING_URI"
WORKSPACE_VARIABLE = "PHYTOSCOPE_WORKSPACE"
"""Environment variable that names the directory of a pipeline."""
_SQLITE = "sqlite:///"
_SCHEMES = (_SQLITE, "http://", "https://", "postgresql", "mysql", "mssql", "databricks")


@dataclass(frozen=True)
class TrackTarget:
    """One receiver of what happens in runs.

    Attributes:
        sink: What kind it is.
        place: MLflow: the tracking URI; Weights & Biases: the folder for its files.
        experiment: Experiment or project.
        wandb_mode: Whether Weights & Biases is told over the network.
        pyfunc: Whether the package is also kept as an MLflow model.
    """

    sink: TrackSink
    place: str
    experiment: str
    wandb_mode: WandbMode = WandbMode.offline
    pyfunc: bool = True

    @property
    def id(self) -> str:
        """Short name that tells it from others: what was told to it is known under this name."""
        # How W&B is told makes no other store of MLflow.
        mode = self.wandb_mode if self.sink is TrackSink.wandb else WandbMode.offline
        return f"{self.sink.value}-{hash_content([self.place, self.experiment, mode.value])[:12]}"

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrackTarget":
        """Rebuilds a target from `dataclasses.asdict`'s result.

        Raises:
            ArtifactError: A field is missing or unknown.
        """
        try:
            mode = WandbMode(content["wandb_mode"])
            return cls(**{**content, "sink": TrackSink(content["sink"]), "wandb_mode": mode})
        except (TypeError, KeyError, ValueError) as error:
            message = f"a tracker cannot be read ({error}): name it again with track=mlflow or track=wandb."
            raise ArtifactError(message) from error


def resolve_targets(config: RunConfig) -> list[TrackTarget]:
    """The receivers that the settings name.

    Args:
        config: `track` and `paths.runs_dir` are read.

    Raises:
        ConfigError: A path names a home directory that does not exist, or an address holds a password.
    """
    track = config.track
    # An address that nobody is told at may hold whatever it likes.
    places = {sink: find_uri(config) if sink is TrackSink.mlflow else _find_wandb(config) for sink in track.sinks}
    return [
        TrackTarget(sink, place, track.experiment, track.wandb_mode, track.pyfunc) for sink, place in places.items()
    ]


def _find_wandb(config: RunConfig) -> str:
    return str(_find_runs(config, "leave wandb out of track.sinks, or choose a folder of this computer") / "wandb")


def find_uri(config: RunConfig) -> str:
    """The tracking URI of MLflow: the one of the settings, else of the environment, else a file beside the runs.

    Args:
        config: `track.uri` and `paths.runs_dir` are read.

    Raises:
        ConfigError: A path names a home directory that does not exist, or the address holds a password or is none.
    """
    named = os.environ.get(URI_VARIABLE, "").strip() if config.track.uri is None else config.track.uri
    if named:
        if holds_password(named):
            message = (
                f"the address of MLflow ({'track.uri' if config.track.uri else URI_VARIABLE}) holds a password, which "
                "would be written beside every run: leave it out, and set the environment variables "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
            raise ConfigError(message)
        if not named.startswith(_SCHEMES):
            message = (
                f"{'track.uri' if config.track.uri else URI_VARIABLE}={named!r} is no address of an MLflow store: "
                "write sqlite:///FILE, or http://HOST:PORT of a server."
            )
            raise ConfigError(message)
        return _make_absolute(named)
    return local_uri(_find_runs(config, "name the store of MLflow with track.uri=sqlite:///FILE") / "mlflow")


def _find_runs(config: RunConfig, remedy: str) -> Path:
    runs = config.paths.runs_dir
    if as_url(runs) is not None:
        message = f"paths.runs_dir={runs!r} is an address, where a tracker cannot keep its files: {remedy}."
        raise ConfigError(message)
    return resolve_path(runs, "paths.runs_dir")


def local_uri(folder: Path) -> str:
    """The tracking URI of a store in a folder: the file `mlflow.db`; its artefacts go to `artifacts` beside it."""
    return f"{_SQLITE}{(folder / 'mlflow.db').as_posix()}"


def _make_absolute(uri: str) -> str:
    # The run may be told later from another folder.
    path = uri.removeprefix(_SQLITE)
    return f"{_SQLITE}{Path(path).absolute().as_posix()}" if uri.startswith(_SQLITE) and path else uri


def save_targets(folder: Path, targets: list[TrackTarget]) -> None:
    """Adds targets to those that a run is told to; a list that is damaged is begun anew.

    Args:
        folder: Folder `tracking` of the run.
        targets: Further ones; those of the same name are replaced.

    Raises:
        StorageError: The place cannot be written.
    """
    try:
        known = load_targets(folder)
    except ArtifactError:
        known = []
    all_targets = {target.id: target for target in [*known, *targets]}
    write_json(folder / "targets.json", [asdict(target) for target in all_targets.values()])


def load_targets(folder: Path) -> list[TrackTarget]:
    """Those that a run is told to; none when nobody was ever named.

    Raises:
        ArtifactError: The file is damaged.
    """
    path = folder / "targets.json"
    return [TrackTarget.from_dict(entry) for entry in read_json(path)] if path.exists() else []
