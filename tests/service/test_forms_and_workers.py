"""Packages of every form are served, and several workers are one service."""

import os
import signal

import pytest
import requests

from factories.packages import draw_photo, make_package
from factories.services import running_service, wait_for
from phytoscope.predict.package_archive import pack_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import Precision, Runtime


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package and the predictor that it was made from."""
    folder = tmp_path_factory.mktemp("forms") / "package"
    return folder, make_package(folder)


@pytest.fixture(scope="module")
def photo(package):
    """One photograph."""
    return draw_photo(package[0].parent / "leaf.jpg", 5).read_bytes()


def test_one_file_is_served_and_exchanged(package, photo, tmp_path):
    """A `.phyto` file answers as the folder does; another one in its place takes over."""
    folder, predictor = package
    pack_package(folder, tmp_path / "leaf.phyto")
    make_package(tmp_path / "other", name="other")
    pack_package(tmp_path / "other", tmp_path / "other.phyto")
    with running_service(tmp_path / "leaf.phyto", "serve.reload_s=0.2") as service:
        answer = service.ask(photo, "image/jpeg").json()
        assert answer["predictions"][0]["probabilities"] == pytest.approx(
            predictor.predict(photo).probabilities, abs=1e-6
        )
        assert answer["model"]["name"] == predictor.description.name
        (tmp_path / "other.phyto").replace(tmp_path / "leaf.phyto")
        wait_for(lambda: service.ask(photo, "image/jpeg").json()["model"]["name"] == "other", 120, service)
        taken = 'phytoscope_reloads_total{result="taken"} 1.0'
        wait_for(lambda: taken in requests.get(f"{service.url}/metrics", timeout=30).text, 60, service)


@pytest.mark.slow
def test_eight_bits_are_served(tmp_path, photo):
    """The form in 8 bits answers when it is asked for, says so, and is what the predictor says with it."""
    for module in ("nncf", "openvino", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from factories.int8_packages import add_int8

    package = add_int8(tmp_path)
    small = Predictor.load(package, runtime=Runtime.openvino, precision=Precision.int8)
    with running_service(package, "serve.runtime=openvino", "serve.precision=int8") as service:
        (found,) = service.ask(photo, "image/jpeg").json()["predictions"]
        (model,) = requests.get(f"{service.url}/v1/models", timeout=30).json()["models"]
    assert (model["runtime"], model["precision"]) == ("openvino", "int8")
    assert found["probabilities"] == pytest.approx(small.predict(photo).probabilities, abs=2e-3)


def _read_metrics(service):
    """Name with labels -> value, of all workers together."""
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.mark.slow
def test_counts_of_all_workers_are_one(package, photo):
    """Whichever worker is asked tells the sum; what a worker counted outlives it, and a hung one is replaced."""
    asked = 'phytoscope_requests_total{route="/v1/predict",status="200"}'
    with running_service(package[0], "serve.workers=2", "serve.decoders=1") as service:
        for _ in range(20):
            assert service.ask(photo, "image/jpeg").status_code == 200
        wait_for(lambda: _read_metrics(service).get("phytoscope_records_written") == 20, 60, service)
        for _ in range(6):
            found = _read_metrics(service)
            assert found[asked] == 20
            assert [value for name, value in found.items() if name.startswith("phytoscope_model{")] == [1.0]
        (victim,) = _find_workers(service)[:1]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(_find_workers(service)) == 2 and victim not in _find_workers(service), 180, service)
        found = wait_for(lambda: _metrics_or_none(service), 180, service)
        assert (found[asked], found["phytoscope_records_written"]) == (20, 20)


def _metrics_or_none(service):
    try:
        return _read_metrics(service)
    except requests.ConnectionError:
        # The connection was one of the worker that has just been killed.
        return None


def _find_workers(service):
    psutil = pytest.importorskip("psutil")
    found = []
    for child in psutil.Process(service.process.pid).children():
        try:
            found += [child.pid] if "phytoscope.api.worker" in child.cmdline() else []
        except psutil.Error:
            continue
    return sorted(found)
