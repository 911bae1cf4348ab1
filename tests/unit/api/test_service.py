"""The service in this process, asked without a network."""

import time

import pytest
from starlette.testclient import TestClient

from factories.packages import draw_photo, make_package
from factories.records import wait_until
from phytoscope.api.app import build_app
from phytoscope.api.service import Phase
from phytoscope.api.uploads import Order, Upload
from phytoscope.api.work import Asked
from phytoscope.schema.choices import Runtime
from phytoscope.schema.serve import ServeConfig

SETTINGS = {"runtime": Runtime.torch, "decoders": 1, "records": False, "explain": False, "threads": 1}
HOME = "http://127.0.0.1"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package of three classes."""
    folder = tmp_path_factory.mktemp("served") / "package"
    make_package(folder)
    return folder


@pytest.fixture
def photo(tmp_path):
    """The bytes of one photograph."""
    return draw_photo(tmp_path / "leaf.png").read_bytes()


@pytest.fixture
def client(package):
    """A service that is ready."""
    with TestClient(build_app(str(package), ServeConfig(**SETTINGS, workers=2)), HOME) as client:
        assert client.get("/readyz").status_code == 200
        yield client


def ask(client, photo):
    """Status and body of the answer for one photograph."""
    answer = client.post("/v1/predict", content=photo, headers={"Content-Type": "image/png"})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("told", [True, False])
def test_service_without_its_package_stays_alive_and_is_not_ready(tmp_path, photo, told):
    """Whoever started it is told why; clients are told to come back, and a page that is switched off is not there."""
    failures = []
    config = ServeConfig(**SETTINGS, workers=2, page=False)
    app = build_app(str(tmp_path / "gone"), config, failures.append if told else None)
    with TestClient(app, HOME) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        status, body = ask(client, photo)
        assert (status, body["error"]["code"]) == (503, "not_ready")
        assert client.get("/").status_code == 404
    assert len(failures) == told


def test_service_that_stops_or_has_too_much_to_do_refuses(client, photo):
    """Before it reads the request, with a time to come back."""
    service = client.app.state.service
    assert ask(client, photo)[0] == 200
    with service.admission.take(service.config.queue_size):
        status, body = ask(client, photo)
        assert (status, body["error"]["code"]) == (429, "too_busy")
    service.phase = Phase.stopping
    status, body = ask(client, photo)
    assert status == 503
    assert "is stopping" in body["error"]["message"]
    service.phase = Phase.ready


def test_network_that_fails_costs_the_photograph_and_not_the_request(client, photo, monkeypatch):
    """The client is told that the log knows more, and nothing of the inside."""

    async def fail(*_words):
        raise ValueError("/secret/place")

    batcher = client.app.state.service.slot.current.batcher
    monkeypatch.setattr(type(batcher), "ask", fail)
    status, body = ask(client, photo)
    assert status == 422
    (prediction,) = body["predictions"]
    assert prediction["error"]["code"] == "internal"
    assert "secret" not in str(body)


def test_client_that_goes_after_the_answer_changes_nothing(client, photo):
    """It may go while the answer is being written."""
    leave = []
    asked = Asked("r", time.perf_counter(), leave.append)
    order = Order([Upload("leaf.png", photo, {})], explain=False)
    status, _ = client.portal.call(client.app.state.service.answer, asked, order)
    assert status == 200
    for go in leave:
        client.portal.call(go)
    assert ask(client, photo)[0] == 200


def test_refused_package_is_counted(tmp_path):
    """The older model goes on."""
    make_package(tmp_path / "package")
    config = ServeConfig(**SETTINGS, workers=2, reload_s=0.05)
    with TestClient(build_app(str(tmp_path / "package"), config), HOME) as client:
        (tmp_path / "package" / "model.safetensors").write_bytes(b"damaged")
        wait_until(lambda: 'phytoscope_reloads_total{result="refused"} ' in client.get("/metrics").text)
        assert client.get("/readyz").status_code == 200
