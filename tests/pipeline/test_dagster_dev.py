"""Dagster's own command loads the graph from an empty folder."""

import sys

import pytest
import requests

from factories.mlflow_stores import find_port, started
from factories.pipelines import environment, wait_for

QUERY = """{ repositoriesOrError { __typename ... on RepositoryConnection { nodes {
    assetNodes { assetKey { path } isPartitioned }
    sensors { name sensorState { status } }
    schedules { name cronSchedule scheduleState { status } } } } } }"""


@pytest.mark.slow
def test_dagster_dev_loads_assets_sensors_and_schedules(tmp_path, monkeypatch):
    """`dagster dev -m phytoscope.pipeline`: everything is there, what costs time is off until it is wanted."""
    (tmp_path / "phytoscope-workspace" / "datasets").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    port = find_port()
    words = ["-m", "dagster", "dev", "-m", "phytoscope.pipeline", "--host", "127.0.0.1", "--port", str(port)]
    page = f"http://127.0.0.1:{port}"
    variables = environment(DAGSTER_HOME=str(tmp_path / "home"))
    with started([sys.executable, *words], f"{page}/server_info", seconds=600, **variables):

        def look() -> list[dict]:
            answer = requests.post(f"{page}/graphql", json={"query": QUERY}, timeout=60).json()
            return answer["data"]["repositoriesOrError"].get("nodes", [])

        (found,) = wait_for("the graph", look)
    assert len(found["assetNodes"]) == 8
    assert all(node["isPartitioned"] for node in found["assetNodes"])
    states = {sensor["name"]: sensor["sensorState"]["status"] for sensor in found["sensors"]}
    assert states == {
        "new_data": "RUNNING",
        "retrain_on_drift": "STOPPED",
        "alert_on_failure": "RUNNING",
        "alert_on_drift": "RUNNING",
    }
    crons = {plan["name"]: (plan["cronSchedule"], plan["scheduleState"]["status"]) for plan in found["schedules"]}
    assert crons == {
        "nightly_monitoring": ("0 3 * * *", "STOPPED"),
        "weekly_evaluation": ("0 4 * * 0", "STOPPED"),
    }
