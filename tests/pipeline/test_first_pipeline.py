"""The newcomer's page: exactly its commands, from the built wheel in an empty folder, and both pages in a browser."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from contract.source_checks import ROOT
from factories.pipelines import environment, started_pipeline

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "guides" / "first_pipeline.md"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def read_commands() -> list[list[str]]:
    """The commands of the page, cut into words."""
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """phytoscope installed from its wheel; what it needs is in this environment already."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "site"),
        str(built),
    ]
    subprocess.run(install, check=True, capture_output=True, env=environment(PIP_NO_INDEX="1"))
    return folder / "site"


@pytest.fixture(scope="module")
def finished(wheel, tmp_path_factory):
    """The pages after all commands of the page, in an empty folder."""
    folder = tmp_path_factory.mktemp("newcomer")
    install, *words, last = read_commands()
    assert install[:2] == ["pip", "install"]
    for command in words:
        assert command[0] == "phytoscope"
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment(PYTHONPATH=str(wheel)),
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    assert last[:2] == ["phytoscope", "pipeline"]
    assert last[2:] == ["--workspace", "plants"]
    program = [sys.executable, "-m", "phytoscope"]
    with started_pipeline(folder / "plants", command=program, PYTHONPATH=str(wheel)) as live:
        yield live


def test_the_page_has_five_commands_at_most():
    """From `pip install` to both pages."""
    assert len(read_commands()) <= 5


def test_the_extras_that_the_page_installs_bring_what_it_needs():
    """Dagster with its page, MLflow and the weights come with the three extras that the page names."""
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r'"phytoscope\[(.*?)\]"', PAGE.read_text(encoding="utf-8"))
    brought = " ".join(requirement for extra in named.split(",") for requirement in extras[extra])
    for needed in ("dagster>", "dagster-webserver", "mlflow", "efficientnet-lite0"):
        assert needed in brought


def test_the_installed_wheel_runs_the_servers(finished, wheel):
    """The code that Dagster loaded is that of the wheel, not of the checkout."""
    query = """{ repositoriesOrError { ... on RepositoryConnection { nodes { pipelines { name } } } } }"""
    (node,) = finished.ask(query)["repositoriesOrError"]["nodes"]
    assert "training_job" in {job["name"] for job in node["pipelines"]}
    assert (wheel / "phytoscope" / "pipeline" / "__init__.py").exists()


def test_dagster_shows_a_finished_run(finished):
    """The headless run is there, and all of its assets are made."""
    runs = finished.runs(dagster__partition="biomass")
    assert "SUCCESS" in runs.values()
    made = [
        event["assetKey"]["path"][-1]
        for event in finished.events(list(runs)[-1])
        if event["__typename"] == "MaterializationEvent"
    ]
    assert made[0] == "raw_dataset"
    assert made[-1] == "promoted_model"


def test_mlflow_shows_the_run_and_the_champion(finished):
    """One run with the loss of each epoch and the error on the test plants; version 1 is the champion."""
    client = MlflowClient(finished.mlflow)
    (experiment,) = [found for found in client.search_experiments() if found.name == "phytoscope"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert {"train/loss", "val/loss", "test/rmse"} <= set(run.data.metrics)
    assert client.get_model_version_by_alias("biomass", "champion").version == "1"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_both_pages_show_it_in_a_browser(finished, tmp_path):
    """A person sees the assets in Dagster's lineage, and the run in MLflow's table."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{finished.dagster}/asset-groups", timeout=120_000)
        page.get_by_text("registry").first.wait_for(timeout=120_000)
        page.wait_for_timeout(3000)
        # The page's own key for opening all groups.
        page.keyboard.press("Alt+KeyE")
        page.get_by_text("promoted_model").first.wait_for(timeout=120_000)
        experiments = requests.post(
            f"{finished.mlflow}/api/2.0/mlflow/experiments/search", json={"max_results": 10}, timeout=30
        ).json()["experiments"]
        number = next(found["experiment_id"] for found in experiments if found["name"] == "phytoscope")
        page.goto(f"{finished.mlflow}/#/experiments/{number}/runs", timeout=120_000)
        page.get_by_text("biomass").first.wait_for(timeout=120_000)
        browser.close()
