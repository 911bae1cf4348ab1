"""The Python client and the examples of its guide, against a real service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factories.images import write_image
from factories.packages import make_package
from factories.services import running_service
from phytoscope import Client, Predictor
from phytoscope.errors import ConfigError, ImageReadError, ServiceError, ServiceRequestError
from phytoscope.predict.package import load_package

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "client.md"
EXAMPLES = re.findall(r"```(python|bash)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a package, photographs, and one file that is none."""
    folder = tmp_path_factory.mktemp("client")
    make_package(folder / "package")
    write_image(folder / "images" / "leaf.jpg", seed=1)
    write_image(folder / "images" / "another.png", seed=2)
    return folder


@pytest.fixture(scope="module")
def service(place):
    with running_service(place / "package", "serve.max_files=3") as service:
        yield service


@pytest.fixture
def client(service):
    with Client(service.url) as client:
        yield client


def test_same_answers_as_the_predictor(client, place):
    """A file, its bytes and a list give what the predictor gives."""
    predictor = load_package(place / "package")
    assert isinstance(predictor, Predictor)
    path = place / "images" / "leaf.jpg"
    expected = predictor.predict(path)
    for given in (path, str(path), path.read_bytes()):
        answer = client.predict(given)
        assert (answer.label, answer.verdict, answer.label_set) == (
            expected.label,
            expected.verdict,
            expected.label_set,
        )
        assert answer.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert tuple(reason.code for reason in answer.reasons) == expected.reasons
        assert answer.model_id == predictor.description.model_id
        assert answer.error is None
    assert client.predict(path).name == "leaf.jpg"
    assert client.predict([]) == []


def test_more_than_one_request_may_hold(client, place):
    """Many photographs go in several requests, and come back in their order with what is wrong with each."""
    photos = [write_image(place / "many" / f"{number}.png", seed=number) for number in range(7)]
    photos.insert(4, place / "package" / "package.json")
    answers = client.predict(photos)
    assert [answer.name for answer in answers] == [photo.name for photo in photos]
    assert [answer.error is None for answer in answers] == [True] * 4 + [False] + [True] * 3
    assert answers[4].label is None
    alone = [client.predict(photo) for photo in photos]
    assert [answer.label for answer in alone] == [answer.label for answer in answers]
    assert alone[4].error.code == "unreadable"


def test_heat_map(client, place):
    """What an answer rests on comes as two PNG files."""
    answer = client.explain(place / "images" / "leaf.jpg")
    assert answer.explanation.picture.startswith(b"\x89PNG")
    assert answer.explanation.heat.startswith(b"\x89PNG")
    assert answer.explanation.words


def test_models(client):
    """What answers, and how much a request may hold."""
    [model] = client.models()
    assert (model.task, model.class_names, model.covariates) == ("classification", ("Äpfel, grün", "rust", "scab"), {})
    assert (model.max_files, model.about["backbone"]) == (3, "test_resnet")


def test_feedback(client, service, place):
    """Feedback is taken for an answer, and refused for a class or an answer that is not."""
    answer = client.predict(place / "images" / "leaf.jpg")
    assert re.fullmatch("[0-9a-f]{32}", client.feedback(answer, label="scab"))
    assert client.feedback(answer.id, comment="seen") != client.feedback(answer.id, comment="seen")
    with pytest.raises(ServiceRequestError, match="did you mean 'rust'") as caught:
        client.feedback(answer, label="rst")
    assert (caught.value.status, caught.value.code) == (422, "bad_request")
    assert caught.value.request_id in service.log()
    with pytest.raises(ServiceRequestError, match="answers 404: no answer"):
        client.feedback("f" * 32, label="rust")


def test_wrong_use_is_told(client, service, place):
    """What cannot be sent is told before anything is sent, and what the service refuses in its words."""
    photo = place / "images" / "leaf.jpg"
    with pytest.raises(ServiceRequestError, match=r"answers 4\d\d: .*age"):
        client.predict(photo, covariates={"age": 3.0})
    with pytest.raises(ConfigError, match="given for 2 photographs, but there are 1"):
        client.predict([photo], covariates=[{}, {}])
    with pytest.raises(ConfigError, match="is a folder: give its files"):
        client.predict(place / "images")
    with pytest.raises(ConfigError, match="is of the type int"):
        client.predict([3])
    with pytest.raises(ImageReadError, match="No such file"):
        client.predict(place / "none.jpg")


def test_nothing_private_is_kept(client, service, place):
    """Neither the name nor the folder of a photograph stands in the records or in the log."""
    photo = write_image(place / "secret folder" / "secret name.jpg", seed=9)
    broken = photo.with_name("secret broken.jpg")
    broken.write_bytes(photo.read_bytes()[:200])
    answers = client.predict([photo, broken])
    client.feedback(answers[0], comment="written")
    kept = b"".join(path.read_bytes() for path in service.log_file.parent.glob("records.db*"))
    assert answers[0].id.encode() in kept
    assert b"secret" not in kept
    assert "secret" not in service.log()


def test_ready(client, service):
    """A service that runs is ready; one that is not there is not, after the time to wait."""
    assert client.ready()
    with Client("http://127.0.0.1:9", retries=0) as nobody:
        assert not nobody.ready(wait_s=0.3)
        with pytest.raises(ServiceError, match="cannot be reached"):
            nobody.models()


@pytest.mark.parametrize("example", range(len(EXAMPLES)))
def test_example_of_the_guide(service, place, tmp_path, example):
    """Each example of the guide runs as it stands there."""
    kind, code = EXAMPLES[example]
    if kind == "bash" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shutil.copytree(place / "images", tmp_path / "photos")
    code = code.replace("http://127.0.0.1:8000", service.url)
    shell = ["bash", "-euo", "pipefail", "-c"] if kind == "bash" else [sys.executable, "-W", "error", "-c"]
    environment = os.environ | {"no_proxy": "127.0.0.1"}
    done = subprocess.run([*shell, code], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout or "feedback(" in code
    assert '"error":{' not in done.stdout.replace(" ", "")


def test_guide_has_examples():
    """The examples are found in the guide."""
    assert [kind for kind, _ in EXAMPLES].count("python") == 6
    assert [kind for kind, _ in EXAMPLES].count("bash") == 4
