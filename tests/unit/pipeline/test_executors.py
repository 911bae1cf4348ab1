"""Where the steps of a run are done."""

import os
import subprocess
import sys

import dagster as dg
import pytest

from factories.workspaces import make_workspace
from phytoscope.errors import ConfigError
from phytoscope.pipeline.executors import choose_executor
from phytoscope.pipeline.instance import build_environment, open_instance
from phytoscope.pipeline.servers import run_servers

GRAPH = """
import os
import dagster as dg
from phytoscope.pipeline import definitions as d

def build_job():
    chosen = dg.define_asset_job("some", dg.AssetSelection.assets("raw_dataset", "preprocessed_data"))
    graph = dg.Definitions(assets=d.ASSETS, jobs=[chosen], resources=d.defs.resources, executor=d.defs.executor)
    return graph.resolve_job_def("some")
"""
RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, "")
import dagster as dg
import graph
from phytoscope.pipeline.instance import DATASETS, open_instance
from phytoscope.pipeline.workspace import Workspace

with open_instance(Workspace(Path(sys.argv[1]))) as instance:
    instance.add_dynamic_partitions(DATASETS, ["leaves"])
    job = dg.reconstructable(graph.build_job)
    with dg.execute_job(job, instance=instance, tags={"dagster/partition": "leaves"}) as result:
        sys.exit(0 if result.success else 1)
"""


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "in_process"),
        ({"PHYTOSCOPE_EXECUTOR": " "}, "in_process"),
        ({"PHYTOSCOPE_EXECUTOR": "in_process"}, "in_process"),
        ({"PHYTOSCOPE_EXECUTOR": "multiprocess"}, "multiprocess"),
        ({"PHYTOSCOPE_EXECUTOR": "kubernetes"}, "k8s"),
    ],
)
def test_executor_is_chosen_by_name(environment, name):
    """Nothing said means this process; each name gives Dagster's executor for it."""
    assert choose_executor(environment).name == name


@pytest.mark.parametrize("kind", ["multiprocess", "kubernetes"])
def test_steps_at_once_reach_the_executor(kind):
    """The number becomes the executor's own setting, and leaving it out leaves the choice to Dagster."""
    executor = choose_executor({"PHYTOSCOPE_EXECUTOR": kind, "PHYTOSCOPE_EXECUTOR_STEPS": "3"})
    configured = executor.config_schema.resolve_config({})
    assert configured.success
    assert configured.value["config"]["max_concurrent"] == 3


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"PHYTOSCOPE_EXECUTOR": "multiproces"}, "did you mean 'multiprocess'"),
        ({"PHYTOSCOPE_EXECUTOR_STEPS": "2"}, "has no effect"),
        ({"PHYTOSCOPE_EXECUTOR": "multiprocess", "PHYTOSCOPE_EXECUTOR_STEPS": "0"}, "whole number from 1 on"),
        ({"PHYTOSCOPE_EXECUTOR": "multiprocess", "PHYTOSCOPE_EXECUTOR_STEPS": "many"}, "whole number from 1 on"),
    ],
)
def test_wrong_words_are_told(environment, text):
    """A word that is not known, or that has no effect, is refused."""
    with pytest.raises(ConfigError, match=text):
        choose_executor(environment)


def test_a_wrong_name_is_told_before_servers_start(tmp_path, monkeypatch):
    """The user reads it on the console, not in the log of a server."""
    workspace = make_workspace(tmp_path / "workspace")
    monkeypatch.setenv("PHYTOSCOPE_EXECUTOR", "cluster")
    with pytest.raises(ConfigError, match="PHYTOSCOPE_EXECUTOR"), run_servers(workspace, port=1, mlflow_port=None):
        pass
    assert not workspace.dagster_home.exists()


@pytest.mark.parametrize("kind", ["multiprocess", "kubernetes"])
def test_definitions_load_with_each_executor(kind, tmp_path):
    """All assets, checks and jobs are accepted with it."""
    script = (
        "import dagster as dg\nfrom phytoscope.pipeline import defs\n"
        "dg.Definitions.validate_loadable(defs)\nprint(defs.resolve_job_def('training_job').executor_def.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "PHYTOSCOPE_EXECUTOR": kind},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == {"multiprocess": "multiprocess", "kubernetes": "k8s"}[kind]


@pytest.mark.slow
def test_steps_in_processes_of_their_own_find_each_others_work(tmp_path, monkeypatch):
    """The tiny data set goes through two assets, each in a process of its own, by what lies in the workspace."""
    workspace = make_workspace(tmp_path / "workspace")
    (tmp_path / "graph.py").write_text(GRAPH)
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(workspace.root)],
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
        cwd=tmp_path,
        env={**os.environ, "PHYTOSCOPE_EXECUTOR": "multiprocess", "PHYTOSCOPE_EXECUTOR_STEPS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, value in build_environment(workspace).items():
        monkeypatch.setenv(name, value)
    with open_instance(workspace) as instance:
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
    done_steps = {event.step_key for event in events if event.event_type is dg.DagsterEventType.STEP_SUCCESS}
    assert {"raw_dataset", "preprocessed_data"} <= done_steps
    assert sum("Launching subprocess" in (event.message or "") for event in events) >= 2
