"""Alerts reach the log and a real server on loopback; the address, which is a secret, stays out of the log."""

import http.server
import json
import logging
import threading
from typing import ClassVar

import pytest

from phytoscope.pipeline.alert import WEBHOOK_VARIABLE, send_alert

LOG = logging.getLogger("phytoscope.tests.alert")
SECRET = "T0KEN-very-secret"  # noqa: S105 (of nobody)


class Receiver(http.server.BaseHTTPRequestHandler):
    statuses: ClassVar[list[int]]
    received: ClassVar[list[object]]
    asked: ClassVar[list[str]]

    def do_POST(self):
        self.asked.append(self.path)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            assert self.headers["Content-Type"] == "application/json"
            self.received.append(json.loads(content))
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture
def receiver(monkeypatch):
    handler = type("OneReceiver", (Receiver,), {"statuses": [], "received": [], "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{server.server_port}/services/{SECRET}")
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_alert_is_posted_as_json(receiver, caplog):
    """The server receives the text, and the log has it too."""
    assert send_alert("The run of leaves failed.", LOG)
    assert receiver.received == [{"text": "The run of leaves failed."}]
    assert "The run of leaves failed." in caplog.text
    assert SECRET not in caplog.text


def test_trouble_that_passes_is_tried_again(receiver, caplog):
    """Two answers of a server in trouble, then it works: one message arrives."""
    receiver.statuses += [503, 429]
    assert send_alert("x", LOG, first_wait_s=0.01)
    assert receiver.received == [{"text": "x"}]
    assert len(receiver.asked) == 3


def test_a_server_that_stays_in_trouble_is_told_without_its_address(receiver, caplog):
    """After three tries it is given up, and the secret stays out of the log."""
    receiver.statuses += [500] * 5
    assert not send_alert("x", LOG, first_wait_s=0.01)
    assert len(receiver.asked) == 3
    assert "answered 500" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [400, 404, 302])
def test_a_refusal_is_not_tried_again(receiver, caplog, status):
    """A wrong address stays wrong, and a redirect is not followed."""
    receiver.statuses.append(status)
    assert not send_alert("x", LOG, first_wait_s=0.01)
    assert len(receiver.asked) == 1
    assert f"answered {status}" in caplog.text


@pytest.mark.parametrize(
    "address", [f"127.0.0.1/{SECRET}", f"ftp://127.0.0.1/{SECRET}", f"http://127.0.0.1:9/{SECRET}"]
)
def test_an_address_that_cannot_be_reached_is_not_told(monkeypatch, caplog, address):
    """No scheme, a wrong one or nobody there: the alert is in the log, the secret is not."""
    monkeypatch.setenv(WEBHOOK_VARIABLE, address)
    assert not send_alert("The run failed.", LOG, first_wait_s=0.01)
    assert "The run failed." in caplog.text
    assert SECRET not in caplog.text


def test_without_an_address_the_log_is_enough(monkeypatch, caplog):
    """Nobody is to be told: the line in the log is all."""
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)
    assert send_alert("The run failed.", LOG)
    assert caplog.messages == ["The run failed."]


def test_a_long_text_is_cut(receiver):
    """A whole traceback does not become a message of pages."""
    assert send_alert("x" * 10_000, LOG)
    assert len(receiver.received[0]["text"]) == 2000
