"""The file `dagster.yaml` of a workspace: where Dagster keeps its records, and where it starts runs."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

RECORDS_VARIABLE = "PHYTOSCOPE_DAGSTER_DB"
"""Environment variable with the address of the data base of Dagster's records: it holds a password."""
IMAGE_VARIABLE = "PHYTOSCOPE_IMAGE"
NAMESPACE_VARIABLE = "PHYTOSCOPE_NAMESPACE"
ACCOUNT_VARIABLE = "PHYTOSCOPE_SERVICE_ACCOUNT"
CONFIG_MAP_VARIABLE = "PHYTOSCOPE_DAGSTER_CONFIG_MAP"
CLAIM = "phytoscope-workspace"
"""Name of the claim of the volume that holds the workspace, in a Kubernetes cluster."""
SECRET = "phytoscope"  # noqa: S105 (the name of a Secret of the cluster, not its content)
"""Name of the Secret with the environment variables that hold passwords, in a Kubernetes cluster."""
MOUNT = "/workspace"
"""Where that volume is mounted."""


class RecordsKind(StrEnum):
    """Where Dagster keeps its records of runs, events and schedules."""

    sqlite = "sqlite"
    postgres = "postgres"


class LauncherKind(StrEnum):
    """Where the runs that a server starts are done."""

    process = "process"
    kubernetes = "kubernetes"


_HEAD = """\
# How Dagster works in this workspace; https://docs.dagster.io/deployment/oss/dagster-yaml says what else can be set.
"""
_USUAL = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    # One training at a time.
    default_limit: 1
    granularity: op
  runs:
    max_concurrent_runs: 4
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  poll_interval_seconds: 15
  # The place of a training that was killed.
  free_slots_after_run_end_seconds: 5
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 3
      failure: 30
      success: 90
"""
_RECORDS = {
    RecordsKind.sqlite: "# Its records are SQLite files beside this one.\n",
    RecordsKind.postgres: f"""\
# Its records are in PostgreSQL: the variable holds postgresql://USER:PASSWORD@HOST:5432/NAME.
storage:
  postgres:
    postgres_url:
      env: {RECORDS_VARIABLE}
""",
}
_LAUNCHERS = {
    LauncherKind.process: "",
    LauncherKind.kubernetes: f"""\
# Each run is a job of the Kubernetes cluster in which the servers run.
run_launcher:
  module: dagster_k8s
  class: K8sRunLauncher
  config:
    load_incluster_config: true
    job_image:
      env: {IMAGE_VARIABLE}
    job_namespace:
      env: {NAMESPACE_VARIABLE}
    service_account_name:
      env: {ACCOUNT_VARIABLE}
    # Holds this file under the name dagster.yaml.
    instance_config_map:
      env: {CONFIG_MAP_VARIABLE}
    dagster_home:
      env: DAGSTER_HOME
    env_vars: [PHYTOSCOPE_WORKSPACE]
    # What holds passwords comes to the runs from here.
    env_secrets: [{SECRET}]
    volumes:
      - name: workspace
        persistentVolumeClaim:
          claimName: {CLAIM}
    volume_mounts:
      - name: workspace
        mountPath: {MOUNT}
""",
}


def write_dagster_settings(
    records: RecordsKind = RecordsKind.sqlite, launcher: LauncherKind = LauncherKind.process
) -> str:
    """Writes what stands in `dagster.yaml`.

    Args:
        records: Where records are kept; `postgres` reads its address from the variable `PHYTOSCOPE_DAGSTER_DB`.
        launcher: Where runs are done; `kubernetes` reads image, namespace, account and ConfigMap from variables.

    Returns:
        The text, without any password.
    """
    return _HEAD + _RECORDS[records] + _LAUNCHERS[launcher] + _USUAL


def list_missing_variables(text: str, environment: Mapping[str, str]) -> list[str]:
    """Names of environment variables that a `dagster.yaml` reads and that are not set.

    Args:
        text: Content of the file; one that is no YAML reads none, and Dagster says what is wrong with it.
        environment: Environment variables.
    """
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    return sorted({name for name in _find_variables(content) if not environment.get(name)})


def _find_variables(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if list(content) == ["env"] and isinstance(content["env"], str):
            yield content["env"]
        for value in content.values():
            yield from _find_variables(value)
    elif isinstance(content, list):
        for value in content:
            yield from _find_variables(value)
