"""The pipeline as a user starts it: a child process with its servers, asked over HTTP, and stopped with Ctrl-C."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from factories.mlflow_stores import QUIET, find_port

SECONDS = 600
"""How long anything may take on a machine with two slow cores; everything is polled."""
_LOCATION = {"repositoryLocationName": "phytoscope.pipeline", "repositoryName": "__repository__"}


def cli(*words: str | Path) -> list[str]:
    """The command line of phytoscope as a child of this interpreter."""
    return [sys.executable, "-m", "phytoscope", *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    """Environment of such a child, silent towards the network."""
    keep = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DAGSTER", "PHYTOSCOPE_"))
    }
    return {**keep, **QUIET, "DAGSTER_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "PASSIVE", **more}


def wait_for(what: str, look: Callable[[], Any], *, seconds: float = SECONDS, every: float = 0.3) -> Any:
    """Looks until there is something, and says what was waited for when there never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(every)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@dataclass
class Live:
    """A started pipeline.

    Attributes:
        root: Its workspace.
        dagster: Address of Dagster's page.
        mlflow: Address of MLflow's page.
        process: The command.
        said: File with what it said.
    """

    root: Path
    dagster: str
    mlflow: str
    process: subprocess.Popen[bytes]
    said: Path
    checks: dict[str, bool] = field(default_factory=dict)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Asks Dagster's page for something."""
        answer = requests.post(f"{self.dagster}/graphql", json={"query": query, "variables": variables}, timeout=60)
        answer.raise_for_status()
        content = answer.json()
        assert "errors" not in content, content["errors"]
        return content["data"]

    def launch(self, job: str, partition: str, config: dict[str, Any] | None = None) -> str:
        """Starts a job for a data set; gives Dagster's id of the run."""
        query = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
            ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
            ... on RunConfigValidationInvalid { errors { message } } } }"""
        params = {
            "selector": {**_LOCATION, "jobName": job},
            "runConfigData": config or {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        }
        answer = self.ask(query, p=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def backfill(self, assets: list[str], partition: str) -> str:
        """Materialises assets of a data set as the button of the page does; gives the id of the backfill."""
        query = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename
            ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
        params = {"assetSelection": [{"path": [name]} for name in assets], "partitionNames": [partition]}
        answer = self.ask(query, p=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def runs(self, **tags: str) -> dict[str, str]:
        """Id of each run with these tags -> how it stands, the newest first."""
        query = """query($f: RunsFilter) { runsOrError(filter: $f) { ... on Runs { results { runId status } } } }"""
        wanted = {"tags": [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]}
        found = self.ask(query, f=wanted)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def finish(self, run: str) -> str:
        """Waits until a run has ended; gives how."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        return str(wait_for(f"the end of {run}", lambda: self.status(run) if self.status(run) in ended else None))

    def status(self, run: str) -> str:
        """How a run stands."""
        query = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
        return str(self.ask(query, r=run)["runOrError"]["status"])

    def events(self, run: str) -> list[dict[str, Any]]:
        """What happened in a run."""
        query = """query($r: ID!) { logsForRun(runId: $r, limit: 1000) { ... on EventConnection { events { __typename
            ... on MessageEvent { message stepKey }
            ... on MaterializationEvent { assetKey { path } partition }
            ... on AssetCheckEvaluationEvent { evaluation { checkName success description } } } } } }"""
        return list(self.ask(query, r=run)["logsForRun"]["events"])

    def worker(self, run: str) -> int:
        """Process that does a run; waits until there is one."""
        said = re.compile(r"\(pid: (\d+)\)")

        def look() -> int | None:
            found = [said.search(str(event.get("message"))) for event in self.events(run)]
            return next((int(match[1]) for match in found if match), None)

        return int(wait_for("the worker", look))

    def tell(self) -> str:
        """What the command and its servers said, for a failure."""
        logs = [self.said, self.root / "dagster" / "server.log", self.root / "mlflow" / "server.log"]
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())


def find_processes(root: Path) -> list[psutil.Process]:
    """All processes that work for a workspace, by the variable that they all bear."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PHYTOSCOPE_WORKSPACE") == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def started_pipeline(root: Path, *, command: list[str] | None = None, **variables: str) -> Iterator[Live]:
    """Starts the pipeline of a workspace on free ports; whatever is left of it at the end is killed."""
    port, mlflow_port = find_port(), find_port()
    words = [*(command or cli()), "pipeline", "--workspace", str(root)]
    words += ["--port", str(port), "--mlflow-port", str(mlflow_port)]
    said = root / "said.txt"
    with said.open("wb") as stream:
        process = subprocess.Popen(
            words, stdout=stream, stderr=stream, env=environment(**variables), start_new_session=True, cwd=root.parent
        )
    live = Live(root, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{mlflow_port}", process, said)
    try:
        wait_for("both pages", lambda: "MLflow: http" in said.read_text() or process.poll() is not None)
        assert process.poll() is None, live.tell()
        yield live
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(120)
        for left in find_processes(root):
            with contextlib.suppress(psutil.Error):
                left.kill()
        if process.poll() is None:
            process.kill()
        process.wait()
