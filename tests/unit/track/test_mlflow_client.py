"""Servers that are away, refuse, break, hang or are none, and what of it a user reads."""

import http.server
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from factories.mlflow_stores import Told, find_port, make_store, served
from factories.packages import draw_photo, make_package
from phytoscope.errors import TrackingError
from phytoscope.schema.events import EndStatus
from phytoscope.track.mlflow_client import answering, find_local_folder, hide_secret, open_client, uploading
from phytoscope.track.pyfunc_answers import PackageAnswers

WORD = "leaf-3-green"


@pytest.fixture
def strange():
    """A server that gives every question the same answer; gives its port and the answer to set."""
    answer = {"status": 500, "body": b"", "seconds": 0.0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            time.sleep(answer["seconds"])
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(answer["body"])))
            self.end_headers()
            self.wfile.write(answer["body"])

        do_GET = do_POST = answer  # noqa: N815 (names that http.server calls)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port, answer
    server.shutdown()
    thread.join()
    server.server_close()


def begin(root: Path, uri: str) -> Told:
    """A run that has begun and been trained a little."""
    told = Told(root / "run", uri)
    told.log.begin("identity", name="leaves")
    told.log.params({"seed": 0})
    told.log.metrics({"train/loss": 1.0}, step=0)
    return told


def test_absent_server(tmp_path) -> None:
    """The error names the address without the password, and says that nothing is lost; nor does its cause hold it."""
    told = begin(tmp_path, f"http://anna:{WORD}@127.0.0.1:{find_port()}")
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:.*Connection refused\).*phytoscope track sync") as caught:
        told.tell()
    assert caught.value.__cause__ is None
    assert WORD not in str(caught.value)
    assert "anna" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, b"busy", "does not answer as it should"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "no disk"}', r"\(too many 500 error responses\)"),
        (429, b"slower", "does not answer as it should"),
        (404, b"<html>an orchard</html>", "address"),
        (200, b"<html>an orchard</html>", "address"),
        (401, b"who are you", "MLFLOW_TRACKING_USERNAME"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "not you"}', "refuses us .*not you"),
    ],
)
def test_strange_server(tmp_path, strange, status, body, words) -> None:
    """Busy, broken, in need of a password, or no MLflow at all: later is another day."""
    port, answer = strange
    answer |= {"status": status, "body": body}
    with pytest.raises(TrackingError, match=words):
        begin(tmp_path, f"http://127.0.0.1:{port}").tell()


def test_server_that_hangs(tmp_path, strange, monkeypatch) -> None:
    """Patience ends."""
    port, answer = strange
    answer["seconds"] = 3.0
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    start = time.monotonic()
    with pytest.raises(TrackingError, match="Read timed out"):
        begin(tmp_path, f"http://127.0.0.1:{port}").tell()
    assert time.monotonic() - start < 2.9


def test_environment_and_loggers_stay(tmp_path) -> None:
    """What the user set for MLflow is as it was afterwards, also after an error."""
    before, level = dict(os.environ), logging.getLogger("mlflow").level
    inside = {}

    def fail() -> None:
        with answering("http://127.0.0.1:1"):
            inside.update(os.environ)
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(TrackingError, match="reset by peer"):
        fail()
    assert inside["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
    assert changed <= {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"}
    assert logging.getLogger("mlflow").level == level


@pytest.mark.parametrize(("asked", "short", "long"), [(None, "20", "300"), ("7", "7", "7")])
def test_files_may_take_longer(monkeypatch, asked, short, long) -> None:
    """A question is given up after seconds, a large file not; the user's own patience counts for both."""
    if asked is not None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", asked)
    seen = []
    with answering("http://127.0.0.1:1"):
        seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        with uploading():
            seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    assert seen == [short, long, short]


def test_secrets_are_hidden() -> None:
    """Whatever stands before the @ is left out, in every address of a text."""
    text = f"http://anna:{WORD}@host:5001/api and postgresql+psycopg2://bob@db/x but not mail@example.org"
    assert hide_secret(text) == "http://host:5001/api and postgresql+psycopg2://db/x but not mail@example.org"


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("sqlite:////data/my%20plants/mlflow.db", Path("/data/my%20plants")),
        ("sqlite:///mlflow.db?timeout=5", Path.cwd()),
        ("http://host:5001", None),
    ],
)
def test_where_a_store_lies(uri, folder) -> None:
    """SQLAlchemy reads a path as it is written."""
    assert find_local_folder(uri) == folder


def test_store_in_use(tmp_path, monkeypatch) -> None:
    """A database that another program holds is waited for, not a bug of ours."""
    uri = make_store(tmp_path / "mlflow")
    told = begin(tmp_path, uri)
    told.tell(told.events()[:1])
    monkeypatch.setattr("mlflow.store.db.utils.sql.text", _impatient)
    with sqlite3.connect(tmp_path / "mlflow" / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match="locked"):
            told.tell()
        other.rollback()
    told.tell()
    assert told.read().data.metrics == {"train/loss": 1.0}


def _impatient(words: str):
    """MLflow waits 20 s for a locked database."""
    import sqlalchemy

    return sqlalchemy.sql.expression.text(words.replace("20000", "200"))


def test_store_that_is_none(tmp_path) -> None:
    """A file that is no database."""
    (tmp_path / "mlflow.db").write_text("notes about leaves, long enough to be looked at as a database" * 20)
    with pytest.raises(TrackingError, match="not a database"), answering(f"sqlite:///{tmp_path}/mlflow.db"):
        open_client(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Address of a real server."""
    with served(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.mark.slow
class TestRealServer:
    """A real `mlflow server` on loopback."""

    def test_run_is_complete(self, tmp_path, address, capfd) -> None:
        """Numbers, files, package and model are there once, although they were told twice; nothing is printed."""
        told = begin(tmp_path, address.replace("://", f"://anna:{WORD}@"))
        told.log.dataset({"name": "leaves", "data_hash": "d" * 64, "split_hash": "s" * 64, "rows": {"train": 3}})
        make_package(told.root / "package")
        draw_photo(told.root / "figures" / "old.png")
        told.log.artifact(told.root / "figures", "figures")
        told.log.package(told.root / "package")
        told.log.end(EndStatus.finished)
        first = told.tell()
        (told.root / "figures" / "old.png").unlink()
        draw_photo(told.root / "figures" / "scatter.png")
        assert told.tell() == first
        said = capfd.readouterr()
        assert (said.out, said.err) == ("", "")
        assert WORD not in str(first)
        assert told.list_files("figures") == ["figures/scatter.png"]
        run = told.read()
        assert (run.info.status, len(run.inputs.dataset_inputs), len(run.outputs.model_outputs)) == ("FINISHED", 1, 1)
        assert first["url"] == f"{address}/#/experiments/{run.info.experiment_id}/runs/{told.remote}"
        assert len(MlflowClient(address).get_metric_history(told.remote, "train/loss")) == 1

    def test_model_comes_back_from_the_server(self, tmp_path, address) -> None:
        """Downloaded by its address, the package answers as before."""
        told = begin(tmp_path, address)
        predictor = make_package(told.root / "package")
        told.log.package(told.root / "package")
        facts = told.tell()
        with answering(address):
            from mlflow.artifacts import download_artifacts

            location = told.client.get_logged_model(facts["model_uri"].removeprefix("models:/")).artifact_location
            place = download_artifacts(location, dst_path=str(tmp_path / "got"), tracking_uri=address)
        answers = PackageAnswers(Path(place) / "artifacts" / "package")
        photo = draw_photo(tmp_path / "a.png")
        found = answers.answer(pd.DataFrame({"image": [photo.read_bytes()]}))
        assert found["probability"][0] == pytest.approx(predictor.predict(photo).probability)

    def test_wrong_question(self, address) -> None:
        """A server that says that the question was wrong is there."""
        from mlflow.exceptions import MlflowException

        with pytest.raises(MlflowException, match="INVALID_PARAMETER_VALUE"), answering(address):
            open_client(address).log_param("0" * 32 + "/", "a(b", 1)
