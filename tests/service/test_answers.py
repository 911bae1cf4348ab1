"""What a running service answers, whichever way photographs are sent."""

import base64
import json

import pytest
import requests

from factories.packages import draw_photo, make_package
from factories.services import running_service
from phytoscope.predict.predictor import Predictor

FIELDS = {"request_id", "model", "predictions", "took_ms"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a package that judges its answers, sees covariates and has two classes."""
    folder = tmp_path_factory.mktemp("answers")
    make_package(folder / "package", "classes and more")
    return folder


@pytest.fixture(scope="module")
def service(place):
    """A service with that package."""
    with running_service(place / "package") as running:
        yield running


@pytest.fixture(scope="module")
def photo(place):
    """One photograph."""
    return draw_photo(place / "leaf.jpg", 7).read_bytes()


def test_service_says_what_the_predictor_says(service, place, photo):
    """The same image gives the same numbers over HTTP as in Python."""
    expected = Predictor.load(place / "package").predict(photo)
    answer = service.ask(photo, "image/jpeg").json()
    (found,) = answer["predictions"]
    assert set(answer) == FIELDS
    assert found["label"] == expected.label
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    assert found["verdict"] == expected.verdict
    assert [reason["code"] for reason in found["reasons"]] == [reason.value for reason in expected.reasons]
    assert tuple(found["label_set"]) == expected.label_set
    assert found["novelty"] == pytest.approx(expected.novelty, rel=1e-4)
    assert (found["width_px"], found["height_px"]) == (24, 20)


def test_three_ways_of_sending_give_the_same_answer(service, photo):
    """The body itself, a form and JSON are the same photograph; covariates come along where they can."""
    known = {"age": 30, "state": "wet"}
    coded = base64.b64encode(photo).decode()
    images = [
        {"name": "x", "data": coded},
        {"name": "y", "data": f"data:image/jpeg;base64,{coded}", "covariates": known},
    ]
    by_json = requests.post(f"{service.url}/v1/predict", json={"images": images}, timeout=60)
    files = [("files", ("x", photo)), ("files", ("y", photo))]
    by_form = requests.post(
        f"{service.url}/v1/predict", files=files, data={"covariates": json.dumps([{}, known])}, timeout=60
    )
    by_body = service.ask(photo, "image/jpeg", params={"name": "x"})
    probabilities = [
        [one["probabilities"] for one in answer.json()["predictions"]] for answer in (by_json, by_form, by_body)
    ]
    assert probabilities[0] == [pytest.approx(one, abs=1e-6) for one in probabilities[1]]
    assert probabilities[2][0] == pytest.approx(probabilities[0][0], abs=1e-6)
    assert probabilities[0][0] != pytest.approx(probabilities[0][1], abs=1e-6)
    assert [one["name"] for one in by_form.json()["predictions"]] == ["x", "y"]
    assert by_body.json()["predictions"][0]["name"] == "x"


def test_unknown_value_of_a_covariate_is_remarked(service, photo):
    """What cannot be used is said, and the photograph is answered all the same."""
    data = {"covariates": json.dumps({"state": "soaked"})}
    answer = requests.post(f"{service.url}/v1/predict", files={"files": photo}, data=data, timeout=60)
    assert answer.status_code == 200
    assert "soaked" in answer.json()["predictions"][0]["remarks"][0]


def test_unreadable_photograph_does_not_spoil_the_others(service, photo):
    """One bad file is an error of its own; only bad files are status 422 with the same body."""
    files = [
        ("files", ("good.jpg", photo)),
        ("files", ("cut.jpg", photo[: len(photo) // 2])),
        ("files", ("text", b"hi")),
    ]
    answer = requests.post(f"{service.url}/v1/predict", files=files, timeout=60)
    assert answer.status_code == 200
    assert [one["error"] and one["error"]["code"] for one in answer.json()["predictions"]] == [
        None,
        "unreadable",
        "unreadable",
    ]
    bad = requests.post(f"{service.url}/v1/predict", files=files[1:], timeout=60)
    assert bad.status_code == 422
    assert set(bad.json()) == FIELDS


@pytest.mark.parametrize("way", ["route", "query", "json"])
def test_explanation_comes_on_request(service, photo, way):
    """Picture and heat map are PNGs of the network's size; without the request there is none."""
    if way == "json":
        body = {"images": [{"data": base64.b64encode(photo).decode()}], "explain": True}
        answer = requests.post(f"{service.url}/v1/predict", json=body, timeout=120)
    else:
        route = {"route": "/v1/explain", "query": "/v1/predict?explain=true"}[way]
        answer = service.ask(photo, "image/jpeg", route)
    (found,) = answer.json()["predictions"]
    for name in ("picture", "heat"):
        head, _, coded = found["explanation"][name].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(coded).startswith(b"\x89PNG")
    assert found["explanation"]["method"] == "hires_cam"
    assert service.ask(photo, "image/jpeg").json()["predictions"][0]["explanation"] is None


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("text/plain", b"hello", 415, "unsupported_media_type"),
        ("", b"hello", 415, "unsupported_media_type"),
        ("application/json", b"{", 400, "bad_request"),
        ("application/json", b"{}", 422, "bad_request"),
        ("application/json", b'{"images": []}', 422, "bad_request"),
        ("application/json", b'{"images": [{"data": "????"}]}', 422, "bad_request"),
        ("application/json", b'{"images": [{"data": "aGFsbG8=", "covariates": {"none": 1}}]}', 422, "bad_request"),
        ("multipart/form-data", b"x", 400, "bad_request"),
        ("multipart/form-data; boundary=x", b"--x\r\n", 400, "bad_request"),
        ("image/png", b"", 422, "bad_request"),
    ],
)
def test_wrong_request_is_told_what_is_wrong(service, kind, body, status, code):
    """Each fault has its status and code, words, and the number of the request."""
    answer = service.ask(body, kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["request_id"] == answer.headers["X-Request-ID"]
    assert "Traceback" not in answer.text


def test_addresses_that_are_not_there(service):
    """Errors of the router look like all others."""
    nothing = requests.get(f"{service.url}/v1/nothing", timeout=10)
    wrong = requests.get(f"{service.url}/v1/predict", timeout=10)
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"


def test_every_answer_has_the_security_headers(service):
    """Also errors; the number that a proxy gave is kept, and what is no number is not."""
    for path in ("/healthz", "/v1/models", "/nothing", "/metrics"):
        answer = requests.get(service.url + path, headers={"X-Request-ID": "proxy-1"}, timeout=10)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "default-src" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Request-ID"] == "proxy-1"
        assert "Server" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers
    odd = requests.get(f"{service.url}/healthz", headers={"X-Request-ID": "a b<script>"}, timeout=10)
    assert len(odd.headers["X-Request-ID"]) == 32


def test_model_is_described(service):
    """A client finds classes, columns and limits."""
    (model,) = requests.get(f"{service.url}/v1/models", timeout=10).json()["models"]
    assert model["class_names"] == ["rust", "scab"]
    assert model["runtime"] == "torch"
    assert model["covariates"] == [{"name": "age", "values": None}, {"name": "state", "values": ["dry", "wet"]}]
    assert model["limits"] == {"max_files": 16, "max_mb": 32.0, "max_megapixels": 100.0}


def test_readiness_tells_of_the_golden_answers(service):
    """The largest difference is there, and small."""
    ready = requests.get(f"{service.url}/readyz", timeout=10).json()
    assert ready["status"] == "ready"
    assert 0 <= ready["golden_difference"] < 1e-3


def test_feedback_is_kept_and_checked(service, photo):
    """A class that the model does not have is named with the nearest; an unknown answer is 404."""
    (found,) = service.ask(photo, "image/jpeg").json()["predictions"]

    def send(**body):
        return requests.post(f"{service.url}/v1/feedback", json=body, timeout=30)

    assert send(id=found["id"], label="rust").status_code == 201
    wrong = send(id=found["id"], label="rusty")
    assert wrong.status_code == 422
    assert "did you mean 'rust'" in wrong.json()["error"]["message"]
    assert send(id="0" * 32, label="rust").status_code == 404
    assert send(id=found["id"]).status_code == 422
    assert send(id=found["id"], value=3.0).status_code == 422
    assert send(id="short", label="rust").status_code == 422
    other = requests.post(f"{service.url}/v1/feedback", data=b"{}", timeout=30)
    assert other.status_code == 415


def test_metrics_count_what_was_done(service, photo):
    """Prometheus finds requests by route and status, verdicts, batches and the model."""
    service.ask(photo, "image/jpeg")
    service.ask(b"no picture", "image/jpeg")
    text = requests.get(f"{service.url}/metrics", timeout=10).text
    assert 'phytoscope_requests_total{route="/v1/predict",status="200"}' in text
    assert 'phytoscope_image_faults_total{code="unreadable"}' in text
    assert 'phytoscope_model{model_id="0123456789abcdef"' in text
    assert "phytoscope_batch_images_count" in text
    assert "phytoscope_records_lost 0.0" in text
