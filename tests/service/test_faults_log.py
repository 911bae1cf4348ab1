"""What must not be in a log: keys, names of files, what is in a photograph, what is known of it, the query."""

import base64
import contextlib
import re

import pytest
import requests

from factories.hostile_files import draw_hostile_files, encode_photo
from factories.packages import make_package
from factories.services import running_service

_NAMES = ("geheimes-feld-17.jpg", "plot-of-mrs-smith.png", "../../etc/secret-name.jpg")
_WRONG_KEY, _VALUE = "not-the-right-key-4711", "123454321"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package that sees more than the image."""
    folder = tmp_path_factory.mktemp("log") / "package"
    make_package(folder, "classes and more")
    return folder


def _ask(service, *bodies, **settings):
    for body in bodies:
        with contextlib.suppress(requests.ConnectionError):
            requests.post(f"{service.url}/v1/predict", timeout=60, **settings, **body)


@pytest.mark.parametrize("log_format", ["text", pytest.param("json", marks=pytest.mark.slow)])
def test_the_log_tells_nothing_of_what_was_sent(package, log_format):
    """At the most talkative level, after good and bad requests of all three ways: no name, key, value or content."""
    photo, bad = encode_photo(3), draw_hostile_files()["JPEG cut in the middle"]
    settings = ("serve.runtime=torch", "serve.log_level=debug", f"serve.log_format={log_format}", "serve.max_mb=1")
    secrets = {"Authorization": f"Bearer {_WRONG_KEY}", "Cookie": f"session={_WRONG_KEY}", "X-API-Key": _WRONG_KEY}
    with running_service(package, *settings) as service:
        for name in _NAMES:
            for content in (photo, bad, b"no photograph", bytes(1_200_000)):
                covariates = f'{{"age": {_VALUE}, "state": "{_VALUE}"}}'
                coded = base64.b64encode(content).decode()
                images = [{"name": name, "data": coded, "covariates": {"age": float(_VALUE), "other": _VALUE}}]
                _ask(
                    service,
                    {"files": [("files", (name, content, "image/jpeg"))], "data": {"covariates": covariates}},
                    {"files": [("files", (name, content, "image/jpeg")), ("other", (name, content))]},
                    {"json": {"images": images}},
                    {"json": {"images": images, _VALUE: name}},
                    {"data": content, "params": {"name": name}},
                    {"data": content, "params": {"name": name, "explain": _VALUE}},
                    headers=secrets,
                )
                _ask(service, {"data": content}, headers={**secrets, "Content-Type": "image/jpeg"})
            requests.get(f"{service.url}/v1/{name}", params={"q": name}, headers=secrets, timeout=30)
            body = {"id": "0" * 32, "label": name, "comment": _VALUE}
            requests.post(f"{service.url}/v1/feedback", json=body, headers=secrets, timeout=30)
        log = service.log()
        metrics = requests.get(f"{service.url}/metrics", timeout=30).text
    assert len(log) > 200
    coded = base64.b64encode(photo).decode()[100:120]
    for text in (log, metrics):
        for secret in (*(name.rpartition("/")[2] for name in _NAMES), _WRONG_KEY, _VALUE, coded, "\\xff\\xd8"):
            assert secret not in text
    # Nothing in a log can pretend to be a line of its own or steer a terminal.
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", log)
