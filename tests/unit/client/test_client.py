"""The client gets through to a service on its bad days, and says what is wrong when it does not."""

import json
import subprocess
import sys
import time

import pytest

from factories.moody_service import Said, moody_service, refuse
from phytoscope.client.client import Client
from phytoscope.client.photos import group_photos, list_photos
from phytoscope.errors import ConfigError, ImageReadError, ServiceBusyError, ServiceError, ServiceRequestError

MODEL = {"name": "leaves", "model_id": "0123456789abcdef", "version": None, "task": "classification"}
BUSY = refuse(429, "too_busy", "try again in 1 s.", Retry_After="0")


def make_entry(name="image 1", **changes):
    known = {"id": "a" * 32, "name": name, "verdict": "accept", "reasons": [], "label": "rust", "label_set": ["rust"]}
    return known | {"remarks": [], "explanation": None, "error": None, "something_new": 1} | changes


def make_body(*entries, **changes):
    return Said(200, {"request_id": "r", "model": MODEL, "predictions": list(entries) or [make_entry()]} | changes)


def make_models(max_files=2, max_mb=32.0):
    model = MODEL | {"class_names": ["rust"], "target_name": "class", "units": {}, "runtime": "torch"}
    limits = {"max_files": max_files, "max_mb": max_mb, "max_megapixels": 50}
    return Said(200, {"models": [model | {"precision": "float32", "covariates": [], "limits": limits}]})


@pytest.mark.parametrize(
    "trouble",
    [
        [BUSY],
        [refuse(503, "not_ready", "starting")] * 2,
        [Said(502, "<html>gateway</html>")],
        [Said(0)],
        [make_body().__class__(200, make_body().body, cut=True)],
        [BUSY, Said(0), refuse(504, "timeout", "too slow")],
    ],
    ids=["busy", "starting", "gateway", "broken", "cut off", "all"],
)
def test_asked_again(trouble):
    """What goes away by itself is waited out."""
    with moody_service(*trouble, make_body()) as service, Client(service.url) as client:
        answer = client.predict(b"leaf")
        assert (answer.label, answer.model_name, answer.label_set) == ("rust", "leaves", ("rust",))
        assert len(service.requests) == len(trouble) + 1


def test_its_key_is_not_shown():
    """Printing a client tells the address alone."""
    assert repr(Client("http://127.0.0.1:8000/", api_key="secret")) == "Client('http://127.0.0.1:8000')"


def test_waits_as_long_as_it_is_told():
    """The service knows best when there will be room."""
    with moody_service(refuse(429, "too_busy", "", Retry_After="1"), make_body()) as service:
        began = time.monotonic()
        Client(service.url).predict(b"leaf")
        assert time.monotonic() - began >= 1.0


def test_nonsense_in_the_time_to_wait():
    """A date, which the service never sends, counts as no time."""
    date = refuse(429, "too_busy", "", Retry_After="Fri, 31 Dec 2027 23:59:59 GMT")
    with moody_service(date, make_body()) as service:
        assert Client(service.url).predict(b"leaf").label == "rust"


@pytest.mark.parametrize(
    ("said", "kind", "words", "tries"),
    [
        (BUSY, ServiceBusyError, r"answers 429 \(3 tries\): try again", 3),
        (refuse(503, "not_ready", "starting"), ServiceBusyError, "answers 503", 3),
        (refuse(504, "timeout", "too slow"), ServiceError, "answers 504", 3),
        (refuse(500, "internal", "a fault"), ServiceError, "answers 500: a fault", 1),
        (refuse(401, "unauthorised", "give a key"), ServiceRequestError, "answers 401: give a key", 1),
        (refuse(422, "bad_request", "no such column"), ServiceRequestError, "no such column", 1),
        (Said(0), ServiceError, r"ended the connection \(3 tries\)", 3),
        (Said(200, "<html>"), ServiceError, "is no service of phytoscope", 1),
        (Said(200, []), ServiceError, "is no service of phytoscope", 1),
        (Said(404, "<html>"), ServiceError, "is no service of phytoscope", 1),
        (Said(404, {"error": "x"}), ServiceError, "is no service of phytoscope", 1),
        (Said(200, {"predictions": []}), ServiceError, "is no service of phytoscope", 1),
        (make_body(model=None), ServiceError, "is no service of phytoscope", 1),
        (make_body(make_entry(), make_entry()), ServiceError, "is no service of phytoscope", 1),
        (Said(307, "", {"Location": "http://other/"}), ServiceRequestError, "points to 'http://other/'", 1),
    ],
)
def test_refused(said, kind, words, tries):
    """What does not go away is told in words, with what a program needs."""
    with moody_service(said) as service, Client(service.url, retries=2) as client:
        with pytest.raises(kind, match=words) as caught:
            client.predict(b"leaf")
        assert len(service.requests) == tries
        if "error" in said.body and said.status != 404:
            error = said.body["error"]
            assert (caught.value.status, caught.value.code, caught.value.request_id) == (
                said.status,
                error["code"],
                "abc123",
            )


def test_key_goes_to_this_service_only(tmp_path, monkeypatch):
    """The key is shown, also where the computer keeps a password for the host, and not where an answer points to."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with moody_service(make_body()) as other:
        with moody_service(make_body(), Said(307, "", {"Location": other.url})) as service:
            client = Client(service.url + "/", api_key="key")
            client.predict(b"leaf")
            assert service.requests[0][2]["Authorization"] == "Bearer key"
            with pytest.raises(ServiceRequestError):
                client.predict(b"leaf")
        assert other.requests == []
        Client(other.url).predict(b"leaf")
        assert "Authorization" not in other.requests[0][2]


def test_files_go_without_their_folders(tmp_path):
    """The service learns the file's name, its type, and what is known beside it."""
    path = tmp_path / "secret folder" / "leaf.jpg"
    path.parent.mkdir()
    path.write_bytes(b"leaf bytes")
    with moody_service(make_body()) as service:
        Client(service.url).predict(path, covariates={"age": 3}, explain=True)
    [(method, asked, _, body)] = service.requests
    assert (method, asked) == ("POST", "/v1/predict?explain=true")
    assert b'name="files"; filename="leaf.jpg"\r\nContent-Type: image/jpeg\r\n\r\nleaf bytes' in body
    assert json.dumps([{"age": 3}]).encode() in body
    assert b"secret" not in body


def test_none_of_the_photographs_can_be_read():
    """Then the service says 422, and each answer says why."""
    entry = make_entry(label=None, verdict=None, error={"code": "unreadable", "message": "no image"})
    body = make_body(entry)
    with moody_service(Said(422, body.body)) as service:
        answer = Client(service.url).predict(b"nonsense")
    assert (answer.label, answer.error.code, answer.error.message) == (None, "unreadable", "no image")


def test_many_photographs_in_several_requests():
    """Five photographs where two fit go in three requests; the limit is asked for once."""
    pair = make_body(make_entry(), make_entry())
    with moody_service(make_models(), pair, pair, make_body(), pair) as service:
        client = Client(service.url, connections=1)
        assert len(client.predict([b"leaf"] * 5)) == 5
        assert len(client.predict([b"leaf"] * 2)) == 2
        assert [path for _, path, _, _ in service.requests].count("/v1/models") == 1
        assert len(service.requests) == 5


def test_fault_in_one_of_several_requests():
    """One refused request is told, and no more are sent."""
    refused = refuse(413, "too_large", "too large")
    with moody_service(make_models(max_files=1), refused) as service, Client(service.url, connections=1) as client:
        with pytest.raises(ServiceRequestError, match="too large"):
            client.predict([b"leaf"] * 50)
        assert len(service.requests) < 50


def test_service_without_models():
    """Then the usual limits are taken."""
    with moody_service(Said(200, {"models": []}), make_body(make_entry(), make_entry())) as service:
        assert len(Client(service.url).predict([b"leaf"] * 2)) == 2


def test_requests_stay_below_the_limit():
    """Neither more files nor more bytes than a request may hold; what is too large goes alone."""
    photos = list_photos([b"x" * size for size in (400_000, 400_000, 400_000, 2_000_000, 10, 10, 10)], None)
    assert list(group_photos(photos, 3, 1.0)) == [[0, 1], [2], [3], [4, 5, 6]]
    assert list(group_photos(photos, 1, 1.0)) == [[place] for place in range(7)]
    assert list(group_photos([], 3, 1.0)) == []


def test_file_that_went(tmp_path):
    """A file that goes between looking and sending is told."""
    path = tmp_path / "leaf.jpg"
    path.write_bytes(b"leaf")
    [sending] = list_photos(path, None)
    path.unlink()
    with pytest.raises(ImageReadError, match="No such file"):
        sending.read()


def test_silent_service():
    """A service that takes the request and says nothing is not waited for longer than wanted."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2, retries=0)
        with pytest.raises(ServiceError, match=r"does not answer within 0\.2 s: is it running"):
            client.models()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "127.0.0.1:8000"}, "is no address of a service"),
        ({"timeout_s": 0}, "must be above 0"),
        ({"timeout_s": float("nan")}, "must be above 0"),
        ({"retries": -1}, "at least 0"),
        ({"connections": 0}, "at least 1"),
    ],
)
def test_wrong_settings(changes, words):
    """What cannot be right is told at once."""
    with pytest.raises(ConfigError, match=words):
        Client(**{"url": "http://127.0.0.1:8000"} | changes)


def test_address_that_is_none():
    """An address without a host is not asked again and again."""
    with pytest.raises(ServiceError, match="is the address right"):
        Client("http://", retries=50).models()


def test_secure_address_of_a_plain_service():
    """A service that cannot prove who it is gets nothing."""
    with moody_service(make_body()) as service:
        client = Client(service.url.replace("http:", "https:"), retries=0)
        with pytest.raises(ServiceError, match="cannot prove who it is"):
            client.predict(b"leaf")
        assert service.requests == []


def test_ready_waits():
    """Readiness is looked at again until the time is up."""
    starting = refuse(503, "not_ready", "starting")
    with moody_service(starting, starting, Said(200, {"status": "ready"})) as service:
        client = Client(service.url)
        assert not client.ready()
        assert client.ready(wait_s=20)


@pytest.mark.parametrize("name", ["Client", "Predictor"])
def test_names_of_the_front(name):
    """The two classes that users start with are at the front, and are listed there."""
    import phytoscope

    assert name in dir(phytoscope)
    assert getattr(phytoscope, name).__name__ == name


def test_front_is_light():
    """Importing the package, and even the client, loads neither torch nor numpy nor pandas."""
    code = (
        "import sys, phytoscope; assert not {'requests', 'torch', 'numpy'} & set(sys.modules); "
        "phytoscope.Client('http://x'); heavy = {'torch', 'numpy', 'pandas', 'fastapi', 'sqlalchemy'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_name_that_is_not_there():
    """A name that is not there is an ordinary AttributeError."""
    import phytoscope

    with pytest.raises(AttributeError, match="has no attribute 'Clinet'"):
        phytoscope.Clinet  # noqa: B018 (asking is the test)
