"""The OpenAPI description is true: schemathesis finds no request that is answered otherwise than it says."""

import subprocess
import sys

import jsonschema_rs
import pytest
import requests

from factories.packages import make_package
from factories.services import running_service

_METHODS = ("get", "post", "put", "delete", "patch", "options", "head")


@pytest.fixture(scope="module", params=["classes and more", "several"])
def service(request, tmp_path_factory):
    """A running service of a classifier and of a regressor, both of which see more than the image."""
    folder = tmp_path_factory.mktemp("openapi")
    make_package(folder / "package", request.param)
    records = f"serve.records_url=sqlite:///{folder / 'records.db'}"
    with running_service(folder / "package", "serve.runtime=torch", records) as running:
        yield running


def _read_schema(service):
    answer = requests.get(f"{service.url}/openapi.json", timeout=30)
    assert answer.status_code == 200
    return answer.json()


def _operations(schema):
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield f"{method.upper()} {path}", operation


_SETTINGS = """
# Whether bytes are a photograph, a text is JSON and a label is one of the model's, no schema can say.
[[operations]]
include-method = "POST"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 422]
"""


def _run_schemathesis(service, folder, examples, *further):
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    words = ["-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", "--checks", "all", "--mode", "all"]
    words += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(examples), "--no-color"]
    words += ["--seed", "0", "--generation-database", "none", "--request-timeout", "60", *further]
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.slow
def test_schemathesis_finds_nothing(service, tmp_path):
    """Requests that the description allows and ones that it forbids, alone and in chains: no check fails."""
    done = _run_schemathesis(service, tmp_path, 40)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in service.log()


def test_every_operation_is_described(service):
    """Each operation has a summary, an answer for success and one for each fault that can come, all of them JSON."""
    schema = _read_schema(service)
    found = dict(_operations(schema))
    wanted = {
        "POST /v1/predict",
        "POST /v1/explain",
        "POST /v1/feedback",
        "GET /v1/models",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }
    assert wanted <= set(found)
    for name, operation in found.items():
        assert operation["summary"], name
        assert any(status.startswith("2") for status in operation["responses"]), name
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert set(answer["content"]) == {"application/json"}, (name, status)
    for name in ("POST /v1/predict", "POST /v1/explain"):
        assert {"400", "408", "413", "415", "422", "429", "503", "504"} <= set(found[name]["responses"])


def test_every_example_is_valid(service):
    """All examples of bodies and answers fit their own schemas."""
    schema = _read_schema(service)
    checked = 0
    for name, operation in _operations(schema):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for body in bodies for media in body.get("content", {}).values()):
            for example in _list_examples(media, schema):
                rule = {**media["schema"], "components": schema["components"]}
                jsonschema_rs.Draft202012Validator(rule).validate(example)
                checked += 1
        assert name
    assert checked >= 3


def _list_examples(media, schema):
    found = [media["example"]] if "example" in media else []
    found += [each["value"] for each in media.get("examples", {}).values()]
    rule = media.get("schema", {})
    if "$ref" in rule:
        rule = schema["components"]["schemas"][rule["$ref"].rpartition("/")[2]]
    found += [rule["example"]] if "example" in rule else []
    return found + list(rule.get("examples", []))


def test_the_examples_of_requests_work(service):
    """The example of each JSON body, sent as it is, is taken: answered, or its prediction is not known."""
    schema = _read_schema(service)
    sent = 0
    for name, operation in _operations(schema):
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        for example in [] if media is None else _list_examples(media, schema):
            path = name.split(" ")[1]
            answer = requests.post(service.url + path, json=example, timeout=60)
            assert answer.status_code in ((404, 422) if path == "/v1/feedback" else (200,)), (name, answer.text)
            sent += 1
    assert sent >= 2


def test_the_description_is_shown_without_asking_other_servers(service):
    """Pages that show the description load nothing from elsewhere; where there are none they are not found."""
    for path in ("/docs", "/redoc"):
        answer = requests.get(service.url + path, timeout=30)
        assert answer.status_code in (200, 404)
        assert "cdn" not in answer.text
