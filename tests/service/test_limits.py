"""Each limit of the service, met on a real connection."""

import concurrent.futures
import contextlib
import io
import json
import socket
import time

import numpy as np
import pytest
import requests
from PIL import Image

from factories.packages import draw_photo, make_package
from factories.raw_http import head
from factories.services import running_service, wait_for
from phytoscope.api.keys import add_key, remove_key

TIGHT = (
    "serve.max_mb=0.2",
    "serve.max_files=3",
    "serve.max_megapixels=0.5",
    "serve.body_timeout_s=1",
    "serve.header_timeout_s=1",
    "serve.queue_size=4",
    "serve.keep_alive_s=2",
    "serve.records=false",
    "serve.explain=false",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a package and one photograph."""
    folder = tmp_path_factory.mktemp("limits")
    make_package(folder / "package")
    draw_photo(folder / "leaf.jpg", 3)
    return folder


@pytest.fixture(scope="module")
def service(place):
    """A service with tight limits."""
    with running_service(place / "package", *TIGHT, folder=place / "tight") as running:
        yield running


@pytest.fixture
def photo(place):
    """One photograph."""
    return (place / "leaf.jpg").read_bytes()


def talk(service, *pieces, pause=0.0, wait=30.0):
    """Sends pieces of bytes with pauses and gives all that comes back until the connection is closed."""
    host, port = service.url.removeprefix("http://").split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=wait) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
                time.sleep(pause)
        except (ConnectionResetError, BrokenPipeError):
            # It has heard enough; what it said stands below.
            pass
        with contextlib.suppress(ConnectionResetError):
            while more := line.recv(65536):
                found += more
    return found


def read_error(found):
    """Status and code of a raw answer."""
    top, _, body = found.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)["error"]["code"]


def test_large_body_is_refused_before_it_is_read(service):
    """The length that it promises is enough, and the connection is closed."""
    found = talk(service, head(length=10_000_000), b"x" * 1000)
    assert read_error(found) == (413, "too_large")
    assert b"connection: close" in found.lower()


def test_large_body_without_a_length_is_refused_while_it_comes(service):
    """Chunks are counted."""
    body = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
    found = talk(service, head(Transfer_Encoding="chunked") + body)
    assert read_error(found) == (413, "too_large")


def test_client_that_sends_too_much_reads_why(service):
    """An ordinary client gets the answer, and not a broken connection."""
    answer = requests.post(
        f"{service.url}/v1/predict", data=b"x" * 3_000_000, headers={"Content-Type": "image/png"}, timeout=30
    )
    assert answer.status_code == 413
    assert "0.2 MB" in answer.json()["error"]["message"]


def test_slow_body_is_given_up(service):
    """A client that promises bytes and does not send them is told so in time."""
    began = time.monotonic()
    assert read_error(talk(service, head(length=100), b"x")) == (408, "timeout")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("start", [b"", b"POST /v1/pre", b"GET / HTTP/1.1\r\nX-A: "], ids=["nothing", "line", "header"])
def test_slow_head_is_given_up(service, start):
    """A connection without a whole head is closed, whether it drips or says nothing."""
    found = talk(service, start, *[b"a"] * 3, pause=0.5) if start else talk(service)
    assert read_error(found) == (408, "timeout")


def test_slow_head_of_a_second_request_is_given_up(service):
    """An answered request does not open the door for a slow one in the same connection."""
    found = talk(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /healthz HTT", pause=0.2)
    assert found.count(b"HTTP/1.1 ") == 2
    assert b"408 Request Timeout" in found


def test_idle_connection_is_closed(service):
    """After the time that connections are kept for, without a word."""
    began = time.monotonic()
    found = talk(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert found.count(b"HTTP/1.1 ") == 1
    assert 1.0 < time.monotonic() - began < 20


def test_endless_head_is_refused(service):
    """Headers without an end, and one header without an end, do not fill the memory."""
    assert b"400 Bad Request" in talk(service, b"GET / HTTP/1.1\r\n", *[b"X-A: " + b"a" * 8000 + b"\r\n"] * 8)
    assert b"431 " in talk(service, b"GET / HTTP/1.1\r\nX-A: ", *[b"a" * 65536] * 16)
    assert b"400 Bad Request" in talk(service, b"\x16\x03\x01 this is TLS\r\n\r\n")


def test_too_many_files_are_refused(service, photo):
    """In a form and in JSON."""
    files = [("files", (str(number), photo)) for number in range(4)]
    by_form = requests.post(f"{service.url}/v1/predict", files=files, timeout=30)
    by_json = requests.post(f"{service.url}/v1/predict", json={"images": [{"data": "aGFsbG8="}] * 4}, timeout=30)
    assert (by_form.status_code, by_json.status_code) == (413, 413)


def test_bomb_is_refused_by_its_header(service):
    """A small file of many pixels is not decoded; the photograph gets the error, the service lives."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((3000, 3000), np.uint8)).save(stream, "PNG")
    answer = service.ask(stream.getvalue())
    assert answer.status_code == 422
    error = answer.json()["predictions"][0]["error"]
    assert error["code"] == "too_large"
    assert "0.5 megapixels (serve.max_megapixels)" in error["message"]


def test_page_from_elsewhere_is_refused(service, photo):
    """A form of another page that a browser sends is not answered, and a borrowed name is told nothing."""
    foreign = service.ask(photo, "image/jpeg", headers={"Origin": "https://evil.example.org"})
    borrowed = requests.get(f"{service.url}/v1/models", headers={"Host": "evil.example.org"}, timeout=30)
    for answer in (foreign, borrowed):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert service.ask(photo, "image/jpeg", headers={"Origin": service.url}).status_code == 200


def test_too_much_at_once_is_told_to_come_back(service, photo):
    """Requests that find no place in the queue get 429 and a time; all others are answered."""

    def ask(_):
        files = [("files", (str(number), photo)) for number in range(3)]
        return requests.post(f"{service.url}/v1/predict", files=files, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, range(60)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["error"]["code"] == "too_busy"
            assert 1 <= int(answer.headers["Retry-After"]) <= 60


def check_number_of_connections(service, most):
    """The ones that are open go on; one more is refused."""
    host, port = service.url.removeprefix("http://").split(":")
    lines = [socket.create_connection((host, int(port)), timeout=30) for _ in range(most)]
    try:
        assert read_error(talk(service)) == (503, "not_ready")
        lines[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert lines[0].recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        for line in lines:
            line.close()


def test_what_is_switched_off_says_so(service, photo):
    """Heat maps and feedback, each in its own words."""
    assert service.ask(photo, "image/jpeg", "/v1/explain").status_code == 422
    body = {"id": "0" * 32, "label": "rust"}
    assert requests.post(f"{service.url}/v1/feedback", json=body, timeout=30).status_code == 503
    assert service.ready()["records"] == {"kept": False}


def test_keys_deadline_and_foreign_pages(place, photo, tmp_path):
    """With keys nobody else is answered; a removed key is refused soon; a deadline is kept; named pages may ask."""
    keys = tmp_path / "keys.json"
    good, gone = add_key(keys, "lab"), add_key(keys, "guest")
    words = (
        f"serve.keys={keys}",
        "serve.deadline_s=0.0005",
        "serve.max_connections=8",
        "serve.cors_origins=[https://lab.example.org]",
    )
    with running_service(place / "package", *words, folder=tmp_path / "keyed") as running:
        bearer = {"Authorization": f"Bearer {good}"}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}):
            refused = running.ask(photo, "image/jpeg", headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorised")
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert requests.get(f"{running.url}/metrics", timeout=10).status_code == 401
        assert requests.get(f"{running.url}/healthz", timeout=10).status_code == 200
        late = running.ask(photo, "image/jpeg", headers=bearer)
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        assert requests.get(f"{running.url}/v1/models", headers={"X-API-Key": gone}, timeout=10).status_code == 200
        remove_key(keys, "guest")

        def is_refused():
            answer = requests.get(f"{running.url}/v1/models", headers={"X-API-Key": gone}, timeout=10)
            return answer.status_code == 401

        wait_for(is_refused, 30, running)
        for origin, allowed in (("https://lab.example.org", True), ("https://elsewhere.example.org", False)):
            asked = requests.get(f"{running.url}/v1/models", headers={**bearer, "Origin": origin}, timeout=10)
            assert ("Access-Control-Allow-Origin" in asked.headers) is allowed
        ask = {"Origin": "https://lab.example.org", "Access-Control-Request-Method": "POST"}
        assert requests.options(f"{running.url}/v1/predict", headers=ask, timeout=10).status_code == 200
        check_number_of_connections(running, 8)
        assert good not in running.log()
