"""Thousands of requests, most of them wrong: the service answers the good ones and stays as it was."""

import asyncio
import json

import pytest

from factories.packages import make_package
from factories.process_trees import measure_tree, wait_until
from factories.raw_http import ask_once, get
from factories.services import running_service
from factories.storms import SETTINGS, Storm, rage

_CODES = {
    "bad_request",
    "internal",
    "method_not_allowed",
    "not_found",
    "not_ready",
    "timeout",
    "too_busy",
    "too_large",
    "unauthorised",
    "unsupported_media_type",
}
_CLIENTS = 32
# Allocators keep some of what they once had; a leak of one photograph a request would be far more.
_GROWN_MB, _GROWN_FILES = 60, 8
_INSIDE = ("Traceback", 'File "', "site-packages", "phytoscope.api")


@pytest.fixture(scope="module")
def storm():
    """All kinds of requests; drawing the large ones takes seconds."""
    return Storm()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package and the predictor that it was made from."""
    folder = tmp_path_factory.mktemp("storm") / "package"
    return folder, make_package(folder)


def _judge(storm, predictor):
    """Gives the function that says what is wrong with an answer."""
    known = [predictor.predict(content, "image") for content in storm.photos]

    def check(kind, number, answer):
        text = answer.body.decode("utf-8", "replace")
        if answer.status in (0, 200) and not kind.good(number):
            return None
        if any(word in text for word in _INSIDE):
            return f"tells of the inside of the service: {text[:300]}"
        if answer.status != 200:
            return _check_fault(answer)
        found = json.loads(text)["predictions"]
        for place, prediction in zip(kind.good(number), found, strict=False):
            wanted = known[place]
            if prediction["error"] is not None or prediction["label"] != wanted.label:
                return f"answered {prediction}, wanted {wanted.label}"
            if prediction["probabilities"] != pytest.approx(wanted.probabilities, abs=1e-4):
                return f"answered {prediction['probabilities']}, wanted {wanted.probabilities}"
        return None if len(found) >= len(kind.good(number)) else "answered too few"

    return check


def _check_fault(answer):
    if answer.headers.get("content-type", "").startswith("text/plain"):
        # What is no HTTP at all gets no JSON.
        return None if answer.status == 400 else "is no JSON"
    content = json.loads(answer.body)
    if "predictions" in content:
        faults = [prediction["error"] for prediction in content["predictions"]]
        return None if all(faults) else "status 422, and yet an answer"
    told = content["error"]
    if told["code"] not in _CODES or not told["message"] or not told["request_id"]:
        return f"tells {told}"
    return None if answer.headers.get("x-request-id") == told["request_id"] else "has another X-Request-ID"


def _weather(service, storm, predictor, count, seed=0):
    outcome = asyncio.run(rage(service.url, storm.plan(count, seed), _judge(storm, predictor), _CLIENTS))
    assert not outcome.faults, "\n".join(outcome.faults[:30])
    return outcome


def _rest(service):
    """Measures the service once its connections have ended."""
    wait_until(lambda: asyncio.run(ask_once(service.url, get("/healthz"))).status == 200)
    return measure_tree(service.process.pid)


def _count(outcome):
    return sum(statuses.total() for statuses in outcome.statuses.values())


def test_a_small_storm_leaves_the_service_as_it_was(storm, package):
    """Some hundred requests of all kinds: no 5xx, the good ones right, and every one has its allowed answer."""
    folder, predictor = package
    with running_service(folder, "serve.runtime=torch", *SETTINGS) as service:
        outcome = _weather(service, storm, predictor, 300)
        assert _count(outcome) == 300
        assert set(outcome.statuses) == {kind.name for kind in storm.kinds}
        assert service.process.poll() is None
        assert "Traceback" not in service.log()


@pytest.mark.slow
def test_ten_thousand_requests_leak_neither_memory_nor_files(storm, package):
    """10,000 requests of all kinds: no 5xx, the good ones right, memory, open files and processes as before."""
    folder, predictor = package
    with running_service(folder, "serve.runtime=torch", *SETTINGS) as service:
        _weather(service, storm, predictor, 1500, seed=1)
        before = _rest(service)
        outcome = _weather(service, storm, predictor, 8500, seed=2)
        assert _count(outcome) == 8500
        wait_until(lambda: measure_tree(service.process.pid).files <= before.files + _GROWN_FILES)
        after = _rest(service)
        assert after.processes == before.processes
        assert after.memory_mb < before.memory_mb + _GROWN_MB
        assert "Traceback" not in service.log()
