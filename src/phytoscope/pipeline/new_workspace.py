"""A new directory of the pipeline, with a page that says what lies where and, if wanted, drawn data to begin with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phytoscope.errors import ConfigError, require, storage_error
from phytoscope.pipeline.dagster_settings import LauncherKind, RecordsKind, write_dagster_settings
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.progress import Progress

_README = """\
# A workspace of phytoscope

Everything of one pipeline lies in this directory.

| what | where |
|---|---|
| data sets: one settings file each | `datasets/NAME.yaml` |
| settings for all data sets | `settings.yaml` |
| runs: `runs/NAME/RUN` with report, figures and package | `runs/` |
| MLflow: metrics, parameters, registered models | `mlflow/` |
| Dagster: what ran when, and its logs | `dagster/` |
| new images that were compared with the training images | `monitor/` |
| decoded pixels, may be removed at any time | `cache/` |

    phytoscope pipeline --workspace .                      # start it, and see it in the browser
    phytoscope pipeline run --workspace . --partition NAME # take one data set the whole way, without a browser
    phytoscope pipeline list --workspace .                 # what there is, and how it stands
"""

_SETTINGS = """\
# @package _global_
# Settings for all data sets of this workspace; what a data set's own file says wins.
# `phytoscope settings` lists every setting. For example:
#
# seed: 1
# track:
#   uri: http://127.0.0.1:5001    # an MLflow server of your group in place of this workspace's own
"""

_HEAD = """\
# @package _global_
# The data set {name}: this file makes it a partition of the pipeline. Paths are relative to this file.
# `phytoscope settings` lists every setting; what is not said here is chosen from the data.
"""

_BIOMASS = """\
defaults:
  - override /data: farmbot_biomass
  - override /model: efficientnet_lite0
  # From few images: what adapts less of the network keeps more of what it has seen before.
  - override /adapt: last_stages

data:
  root: ../data/biomass
  # Plants of the same size weigh more or less by how they were kept.
  covariates: [condition]
model:
  input_size_px: 160
adapt:
  stages: 3
trainer:
  # Said here, so that the drawn plants give the same numbers on every computer.
  mode: trunk
  views: 8
  max_epochs: 30
  batch_size: 16
  smallest_size: 1.0
evaluate:
  robustness: 0
# Promotion: how many plants both models must be measured on. Keep 10 or more for data of your own.
promote:
  min_groups: 5
# Put new photographs here, and the pipeline says whether they still look like those that the model knows.
# monitor:
#   incoming: ../incoming/biomass
"""

_DISEASE = """\
defaults:
  - override /data: plantvillage
  - override /model: efficientnet_lite0
  - override /adapt: norm

data:
  root: ../data/disease
model:
  input_size_px: 160
adapt:
  running_statistics: true
trainer:
  max_epochs: 12
  batch_size: 16
evaluate:
  robustness: 0
# Promotion: how many leaves both models must be measured on. Keep 10 or more for data of your own.
promote:
  min_groups: 5
# Put new photographs here, and the pipeline says whether they still look like those that the model knows.
# monitor:
#   incoming: ../incoming/disease
"""
_FILES = {"biomass": _BIOMASS, "disease": _DISEASE}


@dataclass(frozen=True)
class NewWorkspace:
    """What was laid out.

    Attributes:
        workspace: The directory.
        written: Files and folders that are new.
        kept: Files and folders that were there already, and were left as they are.
    """

    workspace: Workspace
    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def new_workspace(
    root: Path,
    examples: Sequence[str] = (),
    *,
    size: int | None = None,
    records: RecordsKind | None = None,
    launcher: LauncherKind | None = None,
    progress: Progress | None = None,
) -> NewWorkspace:
    """Lays out a workspace; nothing that is there already is replaced.

    Args:
        root: Directory; created if absent. A workspace is completed.
        examples: Data sets to draw: `biomass`, `disease`.
        size: Plants, or leaves of each class; see `draw_example`.
        records: Where Dagster keeps its records; files in the workspace when None.
        launcher: Where runs that a server starts are done; processes of this computer when None.
        progress: Receiver of progress while drawing.

    Returns:
        What was written and what was kept.

    Raises:
        ConfigError: There is no such example, the directory holds other things, or it has settings of Dagster already
            that other ones were asked for.
        MissingDependencyError: PostgreSQL or Kubernetes is asked for, and Dagster's part for it is not installed.
        StorageError: The place cannot be written.
    """
    from phytoscope.steps.example_data import draw_example

    workspace = Workspace(root.absolute())
    _check_own(workspace)
    dagster = _choose_dagster(workspace, records, launcher)
    result = NewWorkspace(workspace)
    try:
        workspace.dataset_files.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(workspace.root, error) from error
    _write_new(result, workspace.root / "README.md", _README)
    _write_new(result, workspace.settings, _SETTINGS)
    if dagster is not None:
        _write_new(result, workspace.dagster_settings, dagster)
    for example in examples:
        place = workspace.root / "data" / example
        drawn = draw_example(place, example, size=size, progress=progress)
        (result.written if drawn else result.kept).append(place)
        _write_new(result, workspace.dataset_files / f"{example}.yaml", _HEAD.format(name=example) + _FILES[example])
    return result


def _check_own(workspace: Workspace) -> None:
    if not workspace.root.is_dir() or workspace.dataset_files.is_dir():
        return
    foreign = sorted(entry.name for entry in workspace.root.iterdir() if not entry.name.startswith("."))
    if foreign:
        shown = ", ".join(repr(name) for name in foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        message = (
            f"{str(workspace.root)!r} is neither a workspace nor empty (it holds {shown}): name an empty or new "
            "directory."
        )
        raise ConfigError(message)


def _choose_dagster(workspace: Workspace, records: RecordsKind | None, launcher: LauncherKind | None) -> str | None:
    if records is None and launcher is None:
        return None
    if records is RecordsKind.postgres:
        require("dagster_postgres")
    if launcher is LauncherKind.kubernetes:
        require("dagster_k8s")
    path = workspace.dagster_settings
    text = write_dagster_settings(records or RecordsKind.sqlite, launcher or LauncherKind.process)
    try:
        differs = path.exists() and path.read_text(encoding="utf-8", errors="replace") != text
    except OSError as error:
        raise storage_error(path, error) from error
    if differs:
        message = (
            f"{str(path)!r} is there already and says something else: change it by hand, or move it away and run the "
            "same command again."
        )
        raise ConfigError(message)
    return text


def _write_new(result: NewWorkspace, path: Path, text: str) -> None:
    if path.exists():
        result.kept.append(path)
        return
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    result.written.append(path)
