"""The one directory that holds everything of the pipeline: data set files, runs, trackers and Dagster's own records."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.artifact import resolve_path
from phytoscope.schema.config import RunConfig
from phytoscope.track.target import WORKSPACE_VARIABLE

USUAL_WORKSPACE = "phytoscope-workspace"
_SUFFIXES = (".yaml", ".yml")
# The name becomes a partition, a folder and a part of addresses.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Workspace:
    """Names of everything in one directory of the pipeline.

    Attributes:
        root: The directory, absolute.
    """

    root: Path

    @property
    def dataset_files(self) -> Path:
        """Folder with one settings file a data set."""
        return self.root / "datasets"

    @property
    def settings(self) -> Path:
        """Settings for all data sets; need not exist."""
        return self.root / "settings.yaml"

    @property
    def runs(self) -> Path:
        """Folder of all runs: `runs/DATASET/RUN`."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """Folder of decoded pixels and of what is known of each image, shared by all data sets."""
        return self.root / "cache"

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's store and its artefacts."""
        return self.root / "mlflow"

    @property
    def mlflow_uri(self) -> str:
        """Tracking URI of the store in this directory."""
        return f"sqlite:///{(self.mlflow / 'mlflow.db').as_posix()}"

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's own records and settings."""
        return self.root / "dagster"

    @property
    def dagster_settings(self) -> Path:
        """Dagster's settings; written with the usual ones when they are first needed."""
        return self.dagster_home / "dagster.yaml"

    def monitor(self, name: str) -> Path:
        """Folder of what was seen of a data set's new images."""
        return self.root / "monitor" / name

    def datasets(self) -> dict[str, Path]:
        """Name of each data set -> its settings file, in the order of the names.

        A file whose name cannot be used is listed too, so that asking for its settings says why.
        """
        if not self.dataset_files.is_dir():
            return {}
        files = (entry for entry in self.dataset_files.iterdir() if entry.suffix in _SUFFIXES and entry.is_file())
        return {file.stem: file for file in sorted(files) if not file.name.startswith(".")}

    def find_dataset(self, name: str) -> Path:
        """The settings file of a data set.

        Raises:
            ConfigError: There is none of this name, or the name cannot be used.
        """
        known = self.datasets()
        if name not in known:
            remedy = (
                suggest(name, known)
                if known
                else f"there are no data sets yet: write {str(self.dataset_files / (name + '.yaml'))!r}, or draw one "
                "with `phytoscope pipeline new DIR --example biomass`."
            )
            message = f"there is no data set {name!r} in {str(self.dataset_files)!r}; {remedy}"
            raise ConfigError(message)
        if not _NAME.fullmatch(name):
            message = (
                f"the data set file {str(known[name])!r} cannot be used under this name: letters, digits, - and _ are "
                "allowed, beginning with a letter or digit, 64 at most. Rename it."
            )
            raise ConfigError(message)
        return known[name]

    def compose(self, name: str, overrides: Sequence[str] = ()) -> RunConfig:
        """The settings of a data set.

        What the data set's file says wins over `settings.yaml` of the workspace, and this over what follows from the
        workspace itself: the run's name, where runs, pixels and trackers are kept. Relative paths, in the file and in
        further settings, are relative to the folder of the data set files.

        Args:
            name: Name of the data set.
            overrides: Further settings such as `trainer.max_epochs=5`, which win over the file.

        Returns:
            The settings; `paths.run_dir` is None unless the file or a further setting names it.

        Raises:
            ConfigError: There is no such data set, or a setting is wrong; the text names the file.
        """
        from phytoscope.configs import compose_config
        from phytoscope.configs.places import resolve_external

        file = self.find_dataset(name)
        try:
            words = [*self._own_words(name), *self._read_words(self.settings), *self._read_words(file)]
            words += self._expand(overrides)
            _check_data(words)
            config = compose_config(words)
        except ConfigError as error:
            message = f"data set {name!r} ({file}): {error}"
            raise ConfigError(message) from error
        resolve_external(config, self.dataset_files)
        return config

    def _own_words(self, name: str) -> list[str]:
        return [
            "track=mlflow",
            f"track.uri={self.mlflow_uri}",
            f"name={name}",
            f"paths.runs_dir={self.runs / name}",
            f"paths.cache_dir={self.cache}",
            # Models of different months are compared on plants that none of them has learned from.
            f"data.split.ledger={self.runs / name / 'splits.parquet'}",
        ]

    def _read_words(self, file: Path) -> list[str]:
        if file == self.settings and not file.exists():
            return []
        return self._expand([f"experiment={file}"])

    def _expand(self, words: Sequence[str]) -> list[str]:
        from phytoscope.configs.experiment_file import expand_experiment
        from phytoscope.configs.places import resolve_places

        return resolve_places(expand_experiment(words), self.dataset_files)


def _check_data(words: Sequence[str]) -> None:
    if any(word.startswith("data=") for word in words):
        return
    message = (
        "it does not say how the data are laid out. Begin it with the two lines `defaults:` and "
        "`  - override /data: folder` (or table, plantvillage, farmbot_biomass), and name the place under `data:`."
    )
    raise ConfigError(message)


def find_workspace(named: Path | None = None) -> Workspace:
    """The workspace that was named, else that of the variable PHYTOSCOPE_WORKSPACE, else ./phytoscope-workspace.

    Args:
        named: Directory, or None.

    Raises:
        ConfigError: It is no workspace: it does not exist or holds no folder `datasets`.
    """
    variable = os.environ.get(WORKSPACE_VARIABLE, "").strip()
    value = str(named) if named is not None else variable or USUAL_WORKSPACE
    key = "--workspace" if named is not None else WORKSPACE_VARIABLE
    workspace = Workspace(resolve_path(value, key))
    if not workspace.dataset_files.is_dir():
        what = "is no workspace (it holds no folder 'datasets')" if workspace.root.is_dir() else "does not exist"
        message = (
            f"the workspace {str(workspace.root)!r} {what}: make one with `phytoscope pipeline new {value}`, or name "
            f"another with --workspace DIR or the variable {WORKSPACE_VARIABLE}."
        )
        raise ConfigError(message)
    return workspace
