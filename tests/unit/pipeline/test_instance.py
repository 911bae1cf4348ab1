"""Dagster's records in the workspace: set up once, and dead runs told from those that go on."""

import functools
import http.server
import subprocess
import sys
import threading
import uuid

import dagster as dg
import pytest

from factories.mlflow_stores import find_port
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.pipeline import servers
from phytoscope.pipeline.instance import PROCESS_TAG, end_dead_runs, mark_process, open_instance, prepare_dagster
from phytoscope.pipeline.servers import Server, run_servers
from phytoscope.pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "PHYTOSCOPE_WORKSPACE", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    made = Workspace(tmp_path / "ws")
    made.dataset_files.mkdir(parents=True)
    return made


@dg.job
def nothing():
    """Does nothing."""


def begin(instance, process=None, *, run_id=None):
    """Puts a run into the records that has started and never ended."""
    tags = {} if process is None else {PROCESS_TAG: process}
    run = instance.create_run_for_job(nothing, run_id=run_id or process, tags=tags)
    event = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="nothing")
    instance.report_dagster_event(event, run.run_id)
    return run.run_id


def test_settings_are_written_once_and_open_silent_records(workspace):
    """No telemetry, one place for each pool; what the user changes stays."""
    prepare_dagster(workspace)
    path = workspace.dagster_home / "dagster.yaml"
    with open_instance(workspace) as instance:
        assert instance.telemetry_enabled is False
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
    path.write_text(path.read_text() + "# mine\n")
    prepare_dagster(workspace)
    assert path.read_text().endswith("# mine\n")


def test_damaged_settings_are_told(workspace):
    """The file is named, and what to do."""
    prepare_dagster(workspace)
    (workspace.dagster_home / "dagster.yaml").write_text("no_such_setting: 1\n")
    with pytest.raises(ArtifactError, match=r"dagster\.yaml' cannot be used"), open_instance(workspace):
        pass


def test_a_run_of_a_dead_process_is_ended_and_its_place_freed(workspace):
    """A killed process leaves a lock that nobody holds: its run counts as failed, and the next training may begin."""
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from phytoscope.pipeline.instance import mark_process\nfrom phytoscope.pipeline.workspace import Workspace\n"
        "with mark_process(Workspace(Path(sys.argv[1]))) as name:\n"
        "    print(name, flush=True)\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(workspace.root)], capture_output=True, text=True, check=False, timeout=120
    )
    dead = done.stdout.strip()
    assert len(dead) == 36, done.stderr
    with open_instance(workspace) as instance, mark_process(workspace) as alive:
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("training")
        killed, going, served = (begin(instance, process) for process in (dead, alive, None))
        assert storage.claim_concurrency_slot("training", killed, "trained_model").is_claimed
        assert end_dead_runs(workspace, instance, servers_stopped=False) == [killed]
        assert instance.get_run_by_id(killed).status is dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(going).status is dg.DagsterRunStatus.STARTED
        assert storage.claim_concurrency_slot("training", going, "trained_model").is_claimed
        assert end_dead_runs(workspace, instance, servers_stopped=True) == [served]
        assert instance.get_run_by_id(served).status is dg.DagsterRunStatus.FAILURE
    assert not list((workspace.dagster_home / "processes").glob("*.lock"))


def test_a_run_that_the_page_takes_again_is_the_servers(workspace):
    """The page copies all tags of the first run, also the name of its process, which is long over by then."""
    with open_instance(workspace) as instance:
        with mark_process(workspace) as over:
            pass
        first = begin(instance, over)
        again = begin(instance, over, run_id=str(uuid.uuid4()))
        assert end_dead_runs(workspace, instance, servers_stopped=False) == [first]
        assert instance.get_run_by_id(again).status is dg.DagsterRunStatus.STARTED
        assert end_dead_runs(workspace, instance, servers_stopped=True) == [again]


def test_a_taken_port_is_told_with_another_one(workspace):
    """The option and a free number are named, and no server is left behind."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=rf"the port {port} is taken .*--mlflow-port {port + 10}"),
            run_servers(workspace, port=find_port(), mlflow_port=port),
        ):
            pass


def test_two_pages_need_two_ports(workspace):
    """The same number twice is a mistake."""
    with (
        pytest.raises(ConfigError, match="are both 3000"),
        run_servers(workspace, port=3000, mlflow_port=3000),
    ):
        pass


def test_servers_of_this_computer_are_not_asked_through_a_proxy(monkeypatch, tmp_path):
    """Where programs reach the world through a proxy, the pages of this computer still count as answering."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{find_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert servers._ask(f"http://127.0.0.1:{server.server_address[1]}") == {}
        finally:
            server.shutdown()
            thread.join()


def test_servers_end_also_when_the_records_cannot_be_read(workspace, monkeypatch):
    """A server that was started is stopped, whatever else goes wrong at the end."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    sleeping = Server("Dagster", "", sleeper, workspace.root / "log", lambda: True)
    monkeypatch.setattr(servers, "_start_dagster", lambda *_: sleeping)

    def fail(_workspace):
        message = "the data base is locked"
        raise RuntimeError(message)

    monkeypatch.setattr(servers, "_interrupt_runs", fail)
    with (
        pytest.raises(RuntimeError, match="locked"),
        run_servers(workspace, port=find_port(), mlflow_port=None),
    ):
        assert sleeper.poll() is None
    assert sleeper.poll() is not None
