"""Tiny workspaces of the pipeline: drawn data, settings that train in seconds, and Dagster's parts to run them with."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from PIL import Image

from phytoscope.pipeline.assets import ASSETS
from phytoscope.pipeline.checks import CHECKS
from phytoscope.pipeline.places import PlaceStore
from phytoscope.pipeline.resources import MlflowResource, WorkspaceResource
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.run_folder import RunFolder

SIZE_PX = 32
LOCAL = ("raw_dataset", "preprocessed_data", "trained_model", "model_evaluation", "packaged_model")
"""The assets that need no registry."""
_TINY = f"""\
model: {{backbone: test_efficientnet, weights: random, input_size_px: {SIZE_PX}}}
trainer: {{mode: features, max_epochs: 8, num_workers: 0, accelerator: cpu}}
evaluate: {{bootstrap: 50, explanations: 0, robustness: 0}}
package: {{onnx: never}}
promote: {{min_groups: 5}}
"""


def draw_leaves(root: Path) -> str:
    """Draws two classes that differ in brightness; gives what the data set's file says of them."""
    rng = np.random.default_rng(0)
    for number in range(48):
        name, brightness = ("dark", 60) if number % 2 else ("bright", 190)
        _draw_square(root / name / f"{number:02}.png", brightness + rng.uniform(-20, 20), rng)
    return f"defaults:\n- override /data: folder\n- override /adapt: head\ndata: {{root: {root}, workers: 1}}\n"


def draw_plants(root: Path) -> str:
    """Draws plants whose weight follows their brightness; gives what the data set's file says of them."""
    rng = np.random.default_rng(0)
    lines = ["filename,plant,weight"]
    for number in range(64):
        brightness = rng.uniform(40, 220)
        _draw_square(root / "images" / f"{number:02}.png", brightness, rng)
        lines.append(f"{number:02}.png,{number // 2},{brightness / 20 + rng.normal(0, 0.2):.3f}")
    (root / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = f"{{table: {root / 'table.csv'}, images: {root / 'images'}, target: weight, unit: g, group_by: [plant]}}"
    return f"defaults:\n- override /data: table\n- override /adapt: head\ndata: {table}\n"


def _draw_square(path: Path, brightness: float, rng: np.random.Generator) -> None:
    """Grey, so that the number of green pixels says nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.clip(rng.normal(brightness, 12, (SIZE_PX, SIZE_PX, 1)), 0, 255).astype(np.uint8)
    Image.fromarray(np.repeat(grey, 3, axis=2)).save(path)


def make_workspace(
    root: Path, draw: Callable[[Path], str] = draw_leaves, name: str = "leaves", *, sinks: Sequence[str] = ()
) -> Workspace:
    """Makes a workspace with one tiny data set, or adds one to it.

    Args:
        root: Directory.
        draw: Draws the data and gives the first lines of their file.
        name: Name of the data set.
        sinks: Trackers that are told.
    """
    workspace = Workspace(root)
    workspace.dataset_files.mkdir(parents=True, exist_ok=True)
    said = draw(root / "data" / name)
    content = f"# @package _global_\n{said}{_TINY}track: {{sinks: [{', '.join(sinks)}]}}\n"
    (workspace.dataset_files / f"{name}.yaml").write_text(content, encoding="utf-8")
    return workspace


def list_resources(workspace: Workspace) -> dict[str, object]:
    """Dagster's resources for a workspace."""
    root = str(workspace.root)
    return {
        "workspace": WorkspaceResource(root=root),
        "mlflow": MlflowResource(),
        "io_manager": PlaceStore(root=root),
    }


@contextlib.contextmanager
def open_records(*names: str) -> Iterator[dg.DagsterInstance]:
    """Dagster's records in memory, with these data sets as partitions."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("datasets", list(names))
        yield instance


def materialise(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    names: Sequence[str],
    *,
    config: dict[str, Any] | None = None,
    partition: str = "leaves",
) -> dg.ExecuteInProcessResult:
    """Materialises some assets with their checks, as a run of the server does, in this process.

    Args:
        workspace: The workspace.
        instance: Dagster's records.
        names: Names of the assets.
        config: Run config, as in the launchpad.
        partition: The data set.
    """
    job = dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=[dg.define_asset_job("some", dg.AssetSelection.assets(*names))],
        resources=list_resources(workspace),
        executor=dg.in_process_executor,
    ).resolve_job_def("some")
    # What fails is read from the result.
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(
        instance=instance, partition_key=partition, run_config={**quiet, **(config or {})}, raise_on_error=False
    )


def succeeded(result: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
    """The same result; an error with what went wrong when it is none to go on with."""
    faults = [
        f"{event.step_key}: {event.step_failure_data.error}" for event in result.all_events if event.is_step_failure
    ]
    faults += [f"{one.check_name}: {one.description}" for one in result.get_asset_check_evaluations() if not one.passed]
    if not result.success:
        raise AssertionError("\n".join(faults))
    return result


@dataclass(frozen=True)
class Materialised:
    """What was materialised, where, and with which records."""

    workspace: Workspace
    instance: dg.DagsterInstance
    result: dg.ExecuteInProcessResult

    @property
    def run(self) -> RunFolder:
        """The folder of the only run."""
        return RunFolder(next(path.parent for path in self.workspace.runs.glob("*/*/config.yaml")))

    def metadata(self, asset: str) -> dict[str, Any]:
        """What the page of an asset shows."""
        events = self.result.asset_materializations_for_node(asset)
        return {name: entry.value for name, entry in events[-1].metadata.items()}
