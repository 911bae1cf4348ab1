"""Dagster's own records in the workspace: how they are set up, and how dead work is told from work that goes on."""

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from phytoscope.errors import ArtifactError, ConfigError, TrackingError, require, storage_error
from phytoscope.pipeline.dagster_settings import list_missing_variables, write_dagster_settings
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.artifact import write_atomic
from phytoscope.track.target import WORKSPACE_VARIABLE

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

PROCESS_TAG = "phytoscope/process"
"""Tag of a run without a server: name of the process that does it, which is also the identifier of the run."""
DATASETS = "datasets"
"""Name of the partitions; one is one data set."""


def build_environment(workspace: Workspace) -> dict[str, str]:
    """Environment variables of all processes of a workspace, beside those that are there already."""
    return {
        WORKSPACE_VARIABLE: str(workspace.root),
        "DAGSTER_HOME": str(workspace.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def prepare_dagster(workspace: Workspace) -> None:
    """Writes Dagster's settings into the workspace, unless there are some.

    Raises:
        MissingDependencyError: Dagster is not installed.
        StorageError: The place cannot be written.
    """
    require("dagster")
    path = workspace.dagster_settings
    if path.exists():
        return
    with write_atomic(path) as temporary:
        temporary.write_text(write_dagster_settings(), encoding="utf-8")


@contextlib.contextmanager
def open_instance(workspace: Workspace) -> "Iterator[DagsterInstance]":
    """Opens Dagster's records of a workspace in this process.

    Sets environment variables of this process, which what Dagster starts takes over.

    Args:
        workspace: Workspace; Dagster's settings are written if there are none.

    Yields:
        The records; they are closed at the end.

    Raises:
        MissingDependencyError: Dagster is not installed.
        StorageError: The place cannot be written.
        ArtifactError: Dagster's settings in the workspace are damaged.
        ConfigError: They read an environment variable that is not set.
        TrackingError: The data base that they name does not answer.
    """
    prepare_dagster(workspace)
    os.environ.update(build_environment(workspace))
    _check_variables(workspace)
    from dagster import DagsterInstance, DagsterInvalidConfigError

    try:
        instance = DagsterInstance.from_config(str(workspace.dagster_home))
    except DagsterInvalidConfigError as error:
        message = (
            f"{str(workspace.dagster_settings)!r} cannot be used ({str(error).splitlines()[0]}): mend it, "
            "or remove it and run the same command again."
        )
        raise ArtifactError(message) from error
    except _name_database_errors() as error:
        kind = type(error if error.__cause__ is None else error.__cause__).__name__
        message = (
            f"the data base of Dagster's records, which {str(workspace.dagster_settings)!r} names, does not answer "
            f"({kind}): start it, or mend its address, user and password."
        )
        # Texts of the driver hold the address.
        raise TrackingError(message) from None
    with instance:
        yield instance


def _name_database_errors() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError

    # Its own error stands around SQLAlchemy's; it is only loaded where the settings name it.
    postgres = sys.modules.get("dagster_postgres.utils")
    return (SQLAlchemyError,) if postgres is None else (SQLAlchemyError, postgres.DagsterPostgresException)


def _check_variables(workspace: Workspace) -> None:
    try:
        text = workspace.dagster_settings.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise storage_error(workspace.dagster_settings, error) from error
    missing = list_missing_variables(text, os.environ)
    if missing:
        message = (
            f"{str(workspace.dagster_settings)!r} reads the environment variable{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not set: set what is missing and run "
            "the same command again."
        )
        raise ConfigError(message)


def end_dead_runs(workspace: Workspace, instance: "DagsterInstance", *, servers_stopped: bool) -> list[str]:
    """Marks runs as failed that nobody works on any more, and frees the places that they hold.

    A run whose process was killed, or whose machine was switched off, would otherwise count as going on for ever, and
    no other training would begin.

    Args:
        workspace: Workspace.
        instance: Dagster's records.
        servers_stopped: Whether it is certain that no server of this workspace runs; then the runs that a server
            started are dead too, unless they are done elsewhere, where Dagster's daemon watches over them.

    Returns:
        Identifiers of the runs that were marked.
    """
    from dagster import DagsterRunStatus, RunsFilter

    dead_with_servers = servers_stopped and not outlives_servers(instance)
    going = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=going)):
        if _is_alive(workspace, run.run_id) if is_headless(run) else not dead_with_servers:
            continue
        instance.report_run_failed(run, "The process of this run ended without a word: it was killed or lost power.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended


def outlives_servers(instance: "DagsterInstance") -> bool:
    """Whether runs are done elsewhere than by the servers that start them, and so go on without them."""
    launcher = instance.get_ref().run_launcher_data
    return launcher is not None and launcher.class_name != "DefaultRunLauncher"


def is_headless(run: "DagsterRun") -> bool:
    """Whether a run is done without a server.

    Dagster's page gives a run that it takes again all tags of the first one, so that the tag alone says nothing.
    """
    return run.tags.get(PROCESS_TAG) == run.run_id


@contextlib.contextmanager
def mark_process(workspace: Workspace) -> Iterator[str]:
    """Gives this process a name by which others see whether it still lives, however it ends.

    Args:
        workspace: Workspace.

    Yields:
        The name, for the tag `PROCESS_TAG` of its run and its identifier.

    Raises:
        StorageError: The place cannot be written.
    """
    name = str(uuid.uuid4())
    lock = filelock.FileLock(_mark_path(workspace, name))
    try:
        _mark_path(workspace, name).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise storage_error(_mark_path(workspace, name), error) from error
    try:
        yield name
    finally:
        lock.release()
        _mark_path(workspace, name).unlink(missing_ok=True)


def _is_alive(workspace: Workspace, name: str) -> bool:
    path = _mark_path(workspace, name)
    if not path.exists():
        return False
    # The system opens the lock of a process that ends, also when it is killed.
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    lock.release()
    path.unlink(missing_ok=True)
    return False


def _mark_path(workspace: Workspace, name: str) -> Path:
    return workspace.dagster_home / "processes" / f"{name}.lock"
