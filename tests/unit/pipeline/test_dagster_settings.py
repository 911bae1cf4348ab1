"""What `dagster.yaml` of a workspace says: where records are kept and where runs are done."""

import itertools

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus

from phytoscope.errors import ConfigError, TrackingError
from phytoscope.pipeline.dagster_settings import (
    LauncherKind,
    RecordsKind,
    list_missing_variables,
    write_dagster_settings,
)
from phytoscope.pipeline.instance import end_dead_runs, open_instance
from phytoscope.pipeline.new_workspace import new_workspace
from phytoscope.pipeline.workspace import Workspace

VARIABLES = {
    "PHYTOSCOPE_DAGSTER_DB": "postgresql://me:geheim@127.0.0.1:9/dagster",
    "PHYTOSCOPE_IMAGE": "registry.example.org/phytoscope:0.1.0",
    "PHYTOSCOPE_NAMESPACE": "plants",
    "PHYTOSCOPE_SERVICE_ACCOUNT": "dagster",
    "PHYTOSCOPE_DAGSTER_CONFIG_MAP": "dagster-instance",
}


@pytest.fixture
def variables(monkeypatch):
    for name in ("DAGSTER_HOME", "PHYTOSCOPE_WORKSPACE", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("records", "launcher"), list(itertools.product(RecordsKind, LauncherKind)))
def test_every_kind_is_accepted_by_dagster(tmp_path, variables, records, launcher):
    """Dagster's own schemas of the file, of PostgreSQL's storage and of the launcher for Kubernetes take it."""
    from dagster._config import process_config
    from dagster._core.instance.config import dagster_instance_config
    from dagster_k8s import K8sRunLauncher
    from dagster_postgres import DagsterPostgresStorage

    (tmp_path / "dagster.yaml").write_text(write_dagster_settings(records, launcher))
    found, _ = dagster_instance_config(str(tmp_path))
    assert found["telemetry"] == {"enabled": False}
    assert ("storage" in found) == (records is RecordsKind.postgres)
    assert ("run_launcher" in found) == (launcher is LauncherKind.kubernetes)
    if records is RecordsKind.postgres:
        assert process_config(DagsterPostgresStorage.config_type(), found["storage"]["postgres"]).success
    if launcher is LauncherKind.kubernetes:
        done = process_config(K8sRunLauncher.config_type(), found["run_launcher"]["config"])
        assert done.success, done.errors
        wrong = {**found["run_launcher"]["config"], "no_such_key": 1}
        assert not process_config(K8sRunLauncher.config_type(), wrong).success


def test_no_password_is_written():
    """The file names variables; what is in them stays there."""
    text = write_dagster_settings(RecordsKind.postgres, LauncherKind.kubernetes)
    assert set(list_missing_variables(text, {})) == {*VARIABLES, "DAGSTER_HOME"}
    assert list_missing_variables(text, {**VARIABLES, "DAGSTER_HOME": "x"}) == []
    assert list_missing_variables("a: [", {}) == []


def test_a_variable_that_is_not_set_is_named(tmp_path, variables, monkeypatch):
    """The message names the file and the variable."""
    workspace = new_workspace(tmp_path / "ws", records=RecordsKind.postgres).workspace
    monkeypatch.delenv("PHYTOSCOPE_DAGSTER_DB")
    message = r"dagster\.yaml' reads the environment variable PHYTOSCOPE_DAGSTER_DB, which is not set"
    with pytest.raises(ConfigError, match=message), open_instance(workspace):
        pass


def test_a_data_base_that_is_away_is_told_without_its_password(tmp_path, variables):
    """The sentence says what to do, and the address does not stand in it."""
    workspace = new_workspace(tmp_path / "ws", records=RecordsKind.postgres).workspace
    with pytest.raises(TrackingError, match="does not answer") as caught, open_instance(workspace):
        pass
    assert "geheim" not in str(caught.value)


def test_settings_of_the_user_are_not_replaced(tmp_path):
    """The same words again change nothing; others are refused, because the file is the user's."""
    made = new_workspace(tmp_path / "ws", records=RecordsKind.postgres)
    path = made.workspace.dagster_settings
    assert path in made.written
    assert path in new_workspace(tmp_path / "ws", records=RecordsKind.postgres).kept
    with pytest.raises(ConfigError, match="says something else"):
        new_workspace(tmp_path / "ws", launcher=LauncherKind.kubernetes)
    assert "postgres" in yaml.safe_load(path.read_text())["storage"]
    new_workspace(tmp_path / "ws")


def test_runs_that_are_done_elsewhere_outlive_the_servers(tmp_path, variables, monkeypatch):
    """A job of the cluster goes on when the servers stop, so it is not marked as dead."""
    import dagster as dg

    @dg.job
    def nothing():
        """Does nothing."""

    for launcher, expected in ((LauncherKind.kubernetes, 0), (LauncherKind.process, 1)):
        workspace = Workspace(tmp_path / launcher.value)
        new_workspace(workspace.root, launcher=launcher)
        with open_instance(workspace) as instance:
            assert isinstance(instance, DagsterInstance)
            run = instance.create_run_for_job(nothing)
            instance.report_dagster_event(
                dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="nothing"), run.run_id
            )
            assert len(end_dead_runs(workspace, instance, servers_stopped=True)) == expected
            status = instance.get_run_by_id(run.run_id).status
            assert status is (DagsterRunStatus.FAILURE if expected else DagsterRunStatus.STARTED)
