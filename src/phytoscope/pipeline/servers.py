"""The servers of a workspace: Dagster's web page with its daemon, and MLflow's, started and stopped together."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from phytoscope.errors import ArtifactError, ConfigError, TrackingError, require, storage_error
from phytoscope.pipeline.instance import (
    build_environment,
    end_dead_runs,
    is_headless,
    open_instance,
    outlives_servers,
)
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.artifact import read_json, write_json

MODULE = "phytoscope.pipeline"
HOST = "127.0.0.1"
_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_LOG_LINES = 15
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SERVER_VARIABLES = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # A first look at many images takes longer than the minute that Dagster allows.
    "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "1800",
}
_LOADED_QUERY = """
{ workspaceOrError { ... on Workspace { locationEntries {
  loadStatus locationOrLoadError { ... on PythonError { message } }
} } } }
"""


@dataclass(frozen=True)
class Server:
    """One started server.

    Attributes:
        name: What it is, for messages.
        address: Where it answers.
        process: The process, leader of a process group.
        log: File that holds what it said.
        is_ready: Whether it answers.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path
    is_ready: Callable[[], bool]


@dataclass
class Servers:
    """Servers of one workspace.

    Attributes:
        workspace: Workspace.
        started: Those that were started, in this order.
    """

    workspace: Workspace
    started: list[Server] = field(default_factory=list)

    def wait_ready(self) -> None:
        """Waits until all answer.

        Raises:
            TrackingError: One ended or did not answer in time; the text holds the end of its log.
        """
        deadline = time.monotonic() + _START_SECONDS
        for server in self.started:
            while not server.is_ready():
                self.check_alive()
                if time.monotonic() > deadline:
                    message = f"{server.name} did not answer within {_START_SECONDS:.0f} s. {_quote_log(server.log)}"
                    raise TrackingError(message)
                time.sleep(_LOOK_SECONDS)

    def wait(self) -> None:
        """Waits for ever.

        Raises:
            TrackingError: One of the servers ended; the text holds the end of its log.
        """
        while True:
            self.check_alive()
            time.sleep(_LOOK_SECONDS)

    def check_alive(self) -> None:
        """Makes sure that none has ended.

        Raises:
            TrackingError: One has; the text holds the end of its log.
        """
        for server in self.started:
            if server.process.poll() is not None:
                message = f"{server.name} ended with code {server.process.returncode}. {_quote_log(server.log)}"
                raise TrackingError(message)

    def stop(self) -> None:
        """Ends all of them, the last one first, with every process that they started."""
        for server in reversed(self.started):
            _stop(server.process)
        self.started.clear()


@contextlib.contextmanager
def run_servers(workspace: Workspace, *, port: int, mlflow_port: int | None) -> Iterator[Servers]:
    """Starts the servers of a workspace; they end with the block, and runs that they were doing are interrupted first.

    Args:
        workspace: Workspace.
        port: Port of Dagster's web page.
        mlflow_port: Port of MLflow's; None for no MLflow server.

    Yields:
        The servers, all answering.

    Raises:
        ConfigError: A port is taken, or the environment names no executor that there is.
        ArtifactError: The workspace's servers are running already.
        MissingDependencyError: Dagster or MLflow is not installed.
        StorageError: The workspace cannot be written.
        TrackingError: A server ended or does not answer.
    """
    require("dagster_webserver")
    if mlflow_port is not None:
        require("mlflow")
    from phytoscope.pipeline.executors import choose_executor

    # A wrong name is told before anything is started.
    choose_executor(os.environ)
    with _alone(workspace):
        _check_ports({"--port": port} | ({} if mlflow_port is None else {"--mlflow-port": mlflow_port}))
        with open_instance(workspace) as instance:
            end_dead_runs(workspace, instance, servers_stopped=True)
        servers = Servers(workspace)
        try:
            if mlflow_port is not None:
                servers.started.append(_start_mlflow(workspace, mlflow_port))
            servers.started.append(_start_dagster(workspace, port, _name_pages(port, mlflow_port)))
            _remember(workspace, {server.name: server.address for server in servers.started})
            servers.wait_ready()
            yield servers
        finally:
            with _deaf_to_signals():
                try:
                    _interrupt_runs(workspace)
                finally:
                    # Whatever Dagster's records say: no server is left behind.
                    servers.stop()
                with open_instance(workspace) as instance:
                    end_dead_runs(workspace, instance, servers_stopped=True)
                _note_path(workspace).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    lock = filelock.FileLock(workspace.root / ".pipeline.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        note = _note_path(workspace)
        known = read_json(note) if note.exists() else {}
        where = ", ".join(f"{name}: {address}" for name, address in known.items()) or "it is just starting"
        message = (
            f"the pipeline of {str(workspace.root)!r} is running already ({where}): open it in the browser, or stop it "
            "with Ctrl-C where it was started."
        )
        raise ArtifactError(message) from error
    except OSError as error:
        raise storage_error(workspace.root, error) from error
    try:
        yield
    finally:
        lock.release()


def _check_ports(ports: dict[str, int]) -> None:
    if len(set(ports.values())) < len(ports):
        message = f"--port and --mlflow-port are both {next(iter(ports.values()))}: choose two different ports."
        raise ConfigError(message)
    for option, port in ports.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                message = (
                    f"the port {port} is taken by another program ({error.strerror or error}): choose another one, for "
                    f"example {option} {port + 10}."
                )
                raise ConfigError(message) from error


def _name_pages(port: int, mlflow_port: int | None) -> dict[str, str]:
    """Environment variables that say where the pages are, for the links in records and alerts."""
    from phytoscope.pipeline.hooks import PAGE_VARIABLE
    from phytoscope.pipeline.resources import MLFLOW_PAGE_VARIABLE

    pages = {PAGE_VARIABLE: f"http://{HOST}:{port}"}
    return pages if mlflow_port is None else {**pages, MLFLOW_PAGE_VARIABLE: f"http://{HOST}:{mlflow_port}"}


def _start_dagster(workspace: Workspace, port: int, pages: dict[str, str]) -> Server:
    address = f"http://{HOST}:{port}"
    words = ["-m", "dagster", "dev", "-m", MODULE, "--host", HOST, "--port", str(port)]
    log = workspace.dagster_home / "server.log"
    return Server("Dagster", address, _start(workspace, words, log, pages), log, lambda: _has_loaded(address))


def _start_mlflow(workspace: Workspace, port: int) -> Server:
    address, artifacts = f"http://{HOST}:{port}", workspace.mlflow / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    words = ["-m", "mlflow", "server", "--backend-store-uri", workspace.mlflow_uri, "--host", HOST, "--port", str(port)]
    words += ["--artifacts-destination", str(artifacts), "--workers", "1"]
    log = workspace.mlflow / "server.log"
    return Server(
        "MLflow", address, _start(workspace, words, log, {}), log, lambda: _ask(f"{address}/health") is not None
    )


def _start(workspace: Workspace, words: list[str], log: Path, pages: dict[str, str]) -> subprocess.Popen[bytes]:
    # A group of its own, so that Ctrl-C on the terminal reaches this process alone, which then stops all in order.
    with log.open("ab") as stream:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and words)
            [sys.executable, *words],
            # Where Python looks for modules first: no folder of the user's may stand in for a library.
            cwd=workspace.dagster_home,
            env={**os.environ, **build_environment(workspace), **_SERVER_VARIABLES, **pages},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _has_loaded(address: str) -> bool:
    answer = _ask(f"{address}/graphql", {"query": _LOADED_QUERY})
    entries = ((answer or {}).get("data") or {}).get("workspaceOrError", {}).get("locationEntries", [])
    for entry in entries:
        problem = (entry.get("locationOrLoadError") or {}).get("message")
        if problem:
            message = f"Dagster cannot load {MODULE}: {problem.strip()}"
            raise TrackingError(message)
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _ask(address: str, content: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """What a server answers; an empty dictionary when that is no JSON object, None when it does not answer well."""
    import requests

    try:
        method = "GET" if content is None else "POST"
        with requests.Session() as session:
            # Servers of this computer are not asked through a proxy.
            session.trust_env = False
            answer = session.request(method, address, json=content, timeout=5)
    except requests.RequestException:
        return None
    if not answer.ok:
        return None
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _interrupt_runs(workspace: Workspace) -> None:
    """Ends the runs that the server is doing as Ctrl-C would: what is finished is kept, and the next run goes on."""
    from dagster import DagsterRunStatus, RunsFilter
    from dagster._core.errors import DagsterUserCodeUnreachableError

    with open_instance(workspace) as instance:
        if outlives_servers(instance):
            return
        going = [
            run
            for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]))
            if not is_headless(run)
        ]
        for run in going:
            # One whose server does not answer ends with it.
            with contextlib.suppress(DagsterUserCodeUnreachableError):
                instance.run_launcher.terminate(run.run_id)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and any(
            not found.is_finished for run in going if (found := instance.get_run_by_id(run.run_id)) is not None
        ):
            time.sleep(_LOOK_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    # What the server itself left behind.
    if hasattr(os, "killpg"):
        for wish in (signal.SIGTERM, signal.SIGKILL):
            if not _tell_group(process.pid, wish):
                break
            _wait_for_group(process.pid, 5.0)
    else:
        process.kill()
    process.wait()


def _tell_group(group: int, wish: int) -> bool:
    try:
        os.killpg(group, wish)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _wait_for_group(group: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _tell_group(group, 0):
        time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def _deaf_to_signals() -> Iterator[None]:
    # An impatient second Ctrl-C would leave half of the servers behind; a terminal that closes tells it twice.
    names = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    known = {name: signal.getsignal(name) for name in names}
    try:
        for name in known:
            signal.signal(name, signal.SIG_IGN)
        yield
    finally:
        for name, handler in known.items():
            signal.signal(name, handler)


def _remember(workspace: Workspace, addresses: dict[str, str]) -> None:
    write_json(_note_path(workspace), addresses)


def _note_path(workspace: Workspace) -> Path:
    return workspace.dagster_home / "servers.json"


def _quote_log(log: Path) -> str:
    try:
        text = _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))
        lines = text.splitlines()[-_LOG_LINES:]
    except OSError:
        lines = []
    return f"The end of {str(log)!r}:\n" + "\n".join(lines)
