"""How the data sets of a workspace stand: the last run of each, and its champion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from phytoscope.errors import PhytoscopeError
from phytoscope.pipeline.instance import open_instance
from phytoscope.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from dagster import DagsterInstance

_PARTITION_TAG = "dagster/partition"


@dataclass(frozen=True)
class DatasetState:
    """How one data set stands, in words; empty where there is nothing to say.

    Attributes:
        name: Name of the data set.
        last_run: How its last run ended or that it goes on.
        when: When that was, local time.
        champion: Version of its champion.
        remark: What is wrong with its file.
    """

    name: str
    last_run: str = "none yet"
    when: str = ""
    champion: str = ""
    remark: str = ""


def read_states(workspace: Workspace) -> list[DatasetState]:
    """Looks at all data sets of a workspace.

    Args:
        workspace: Workspace.

    Returns:
        One state a data set, in the order of the names; a data set whose file is wrong says so in `remark`.

    Raises:
        MissingDependencyError: Dagster is not installed.
        StorageError: The workspace cannot be written.
    """
    with open_instance(workspace) as instance:
        return [_read_state(workspace, instance, name) for name in workspace.datasets()]


def _read_state(workspace: Workspace, instance: "DagsterInstance", name: str) -> DatasetState:
    from dagster import RunsFilter

    records = instance.get_run_records(RunsFilter(tags={_PARTITION_TAG: name}), limit=1)
    last_run, when = "none yet", ""
    if records:
        last_run = records[0].dagster_run.status.value.lower()
        when = records[0].update_timestamp.astimezone().strftime("%Y-%m-%d %H:%M")
    try:
        champion, remark = find_champion(workspace, name), ""
    except PhytoscopeError as error:
        champion, remark = "", str(error)
    return DatasetState(name, last_run, when, champion, remark)


def find_champion(workspace: Workspace, name: str) -> str:
    """Version of a data set's champion in words; empty when there is none.

    Raises:
        ConfigError: The data set's file is wrong.
        TrackingError: The registry does not answer.
    """
    from phytoscope.track.registry import CHAMPION, Registry
    from phytoscope.track.target import find_uri

    config = workspace.compose(name)
    uri = find_uri(config)
    if uri == workspace.mlflow_uri and not (workspace.mlflow / "mlflow.db").exists():
        # Asking would make a store.
        return ""
    found = Registry(uri).find(config.track.model_name or config.name, CHAMPION)
    return "" if found is None else f"{found.name} version {found.version}"
