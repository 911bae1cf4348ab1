"""Further forms of a run's network, the certificate that compares them, and what it refuses."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from factories.broken_packages import read_parts
from factories.runs import draw_mixed_folder, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError, PackageError
from phytoscope.predict.package_files import ONNX_NAME
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import read_json
from phytoscope.schema.certificate import CERTIFICATE_NAME, Certificate, FormReport
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.schema.comparison import MetricDifference, Winner
from phytoscope.schema.config import PackageConfig
from phytoscope.schema.table import Task
from phytoscope.steps.export import _settle, refuse_variants
from phytoscope.steps.export_forms import find_loss
from phytoscope.steps.export_int8 import allow_change, measure_change


def metric(name: str, first: float | None, second: float | None) -> MetricDifference:
    """A metric of two forms, without an interval."""
    return MetricDifference(name, "", True, first, second, None, None, None, Winner.unclear)


def test_loss_of_classes_is_the_larger_of_two() -> None:
    """What is lost in accuracy or in macro F1; a gain is below 0; other metrics have no part in it."""
    both = [metric("accuracy", 0.9, 0.89), metric("macro_f1", 0.8, 0.77), metric("nll", 0.1, 9.0)]
    assert find_loss(Task.classification, both) == pytest.approx(0.03)
    assert find_loss(Task.classification, [metric("accuracy", 0.9, 0.91)]) == pytest.approx(-0.01)


def test_loss_of_numbers_is_a_share() -> None:
    """The share by which RMSE or MAE grows; an error that grows from nothing is without bounds."""
    both = [metric("rmse", 2.0, 2.1), metric("mae", 1.0, 1.02)]
    assert find_loss(Task.regression, both) == pytest.approx(0.05)
    assert find_loss(Task.regression, [metric("rmse", 0.0, 0.1)]) == np.inf
    assert find_loss(Task.regression, [metric("rmse", 0.0, 0.0)]) == 0.0


@pytest.mark.parametrize("metrics", [[], [metric("accuracy", None, 0.9)], [metric("accuracy", 0.9, None)]])
def test_loss_that_is_not_known_is_without_bounds(metrics) -> None:
    """Nothing is published by a loss that nobody measured."""
    assert find_loss(Task.classification, metrics) == np.inf


def test_change_of_classes_bounds_what_can_be_lost() -> None:
    """Total variation: 0 for the same answers, 1 for opposite ones."""
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert measure_change(Task.classification, sure, sure) == 0.0
    assert measure_change(Task.classification, sure, sure[::-1]) == 1.0
    assert measure_change(Task.classification, sure, np.array([[0.9, 0.1], [0.0, 1.0]])) == pytest.approx(0.05)


def test_allowed_change_of_numbers_grows_the_error_as_promised() -> None:
    """An added error of the allowed size, unrelated to the own one, makes RMSE grow by the allowed share."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    first = (truth + rng.normal(scale=0.5, size=truth.shape))[:, None]
    second = first + rng.normal(scale=0.5 * allow_change(Task.regression, 0.02), size=first.shape)
    assert measure_change(Task.regression, first, second, truth) == pytest.approx(0.2, rel=0.01)
    grown = np.sqrt(np.mean((second[:, 0] - truth) ** 2)) / np.sqrt(np.mean((first[:, 0] - truth) ** 2))
    assert grown - 1 == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("word", ["package.int8=auto", "package.openvino=always", "package.certificate=true"])
def test_ensembles_have_no_further_forms(word) -> None:
    """No image is left that none of the networks has learned from: the setting is refused and not passed over."""
    config = compose_config(["data=folder", "data.root=photos", word])
    with pytest.raises(ConfigError, match="leave these settings out"):
        refuse_variants(config.package)
    refuse_variants(compose_config(["data=folder", "data.root=photos"]).package)


@pytest.mark.parametrize("word", ["package.max_loss=-0.1", "package.max_loss=1", "package.calibration_images=7"])
def test_settings_have_limits(word) -> None:
    """What cannot work is refused before anything starts."""
    with pytest.raises(ConfigError, match=word.partition("=")[0]):
        compose_config(["data=folder", "data.root=photos", word])


@pytest.mark.parametrize(
    ("onnxruntime", "openvino", "kept"),
    [
        ("", "", True),
        ("refused: an answer differs", "refused: an answer differs", False),
        ("refused: an answer differs", "", True),
        ("refused: it cannot be run", "it is not installed", False),
        ("it is not installed", "it is not installed", True),
    ],
)
def test_file_that_no_runtime_may_use_is_taken_out(tmp_path, onnxruntime, openvino, kept) -> None:
    """A file that was refused wherever it was tried is not handed on; a runtime that is missing proves nothing."""
    (tmp_path / ONNX_NAME).touch()
    found = (("onnxruntime", onnxruntime), ("openvino", openvino))
    reports = [FormReport(name, name, "float32", published=not reason, reason=reason) for name, reason in found]
    variants = _settle(SimpleNamespace(settings=PackageConfig()), tmp_path, reports)
    assert (tmp_path / ONNX_NAME).exists() is kept
    assert set(variants) == ({"onnx"} if kept else set())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[str]]:
    """A tiny run that is packaged in 32 bits, and the settings of its data."""
    for module in ("nncf", "openvino", "onnxruntime", "onnxscript"):
        pytest.importorskip(module)
    place = tmp_path_factory.mktemp("export")
    data = draw_mixed_folder(place / "photos", per_class=24)
    run_tiny(run_words(data, place / "run"))
    return place / "run", data


def pack(trained: tuple[Path, list[str]], place: Path, *words: str):
    """Packages a copy of the run anew with further settings; gives its folder and its certificate."""
    shutil.copytree(trained[0], place)
    cache = f"paths.cache_dir={trained[0].parent / 'run-cache'}"
    run, _ = run_tiny([*run_words(trained[1], place), cache, "package.calibration_images=8", *words], "package")
    return run, Certificate.from_dict(read_json(run.package / CERTIFICATE_NAME))


@pytest.mark.slow
def test_certificate_and_eight_bits(trained, tmp_path, capfd, monkeypatch) -> None:
    """All forms answer the same images; 8 bits are judged by thresholds of their own and prove themselves."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, certificate = pack(trained, tmp_path / "run", "package.int8=always", "package.max_loss=0.9")
    assert "Statistics collection" not in capfd.readouterr().out
    forms = {form.name: form for form in certificate.forms}
    assert list(forms) == ["torch", "onnxruntime", "openvino", "int8"]
    assert all(form.published and form.images_per_second for form in forms.values())
    assert forms["torch"].largest_difference == 0.0
    assert forms["openvino"].largest_difference < 1e-3
    assert forms["int8"].largest_difference > forms["openvino"].largest_difference
    content = json.loads((run.package / "package.json").read_text())
    assert {"int8/model.xml", "int8/model.bin", "int8/trust.json", "int8/golden.json"} <= set(content["sha256"])
    assert set(content["variants"]) == {"onnx", "int8"}
    small = Predictor.load(run.package, runtime=Runtime.openvino, precision=Precision.int8)
    whole = Predictor.load(run.package)
    assert small.engine.precision is Precision.int8
    assert small.trust is not None
    assert small.trust.to_dict() != whole.trust.to_dict()
    photo = next(Path(trained[0].parent / "photos").rglob("*.*"))
    assert small.predict(photo).verdict is not None


@pytest.mark.slow
def test_what_loses_too_much_is_refused(trained, tmp_path, monkeypatch) -> None:
    """The certificate keeps the numbers and the reason, and nothing of 8 bits is in the package."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Without any accuracy control, ranges that are far too small for what the network computes.
    monkeypatch.setattr("phytoscope.steps.export_int8.quantize_plainly", _halve)
    monkeypatch.setattr("phytoscope.steps.export_int8.quantize_controlled", _halve)
    run, certificate = pack(trained, tmp_path / "run", "package.int8=auto", "package.openvino=always")
    form = next(form for form in certificate.forms if form.name == "int8")
    assert not form.published
    assert form.loss > 0.005
    assert form.reason.startswith("refused: it loses ")
    assert len(certificate.int8_steps) == 3
    parts = json.loads((run.package / "package.json").read_text())
    assert set(parts["variants"]) == {"onnx", "openvino"}
    assert not [name for name in parts["sha256"] if name.startswith("int8")]
    assert "NOT in the package; refused" in (run.package / "CERTIFICATE.md").read_text()
    with pytest.raises(PackageError, match="the network in 8 bits is refused: it loses"):
        pack(trained, tmp_path / "always", "package.int8=always")
    # The package that was there is left as it was, and nothing half made beside it.
    assert read_parts(tmp_path / "always" / "package") == read_parts(trained[0] / "package")
    assert {path.name for path in (tmp_path / "always").iterdir()} == {path.name for path in trained[0].iterdir()}


@pytest.mark.slow
def test_certificate_is_made_anew_with_other_libraries(trained, tmp_path, monkeypatch) -> None:
    """A library that was installed meanwhile is reason enough; the same ones are not."""
    calls = []
    monkeypatch.setattr("phytoscope.steps.package.export_variants", lambda *given: calls.append(given))
    shutil.copytree(trained[0], tmp_path / "run")
    cache = f"paths.cache_dir={trained[0].parent / 'run-cache'}"
    words = [*run_words(trained[1], tmp_path / "run"), cache, "package.certificate=true"]
    for versions, count in (({}, 1), ({}, 1), ({"nncf": "3.4"}, 2)):
        monkeypatch.setattr("phytoscope.steps.package.list_versions", lambda versions=versions: versions)
        run_tiny(words, "package")
        assert len(calls) == count


def _halve(model, *_: object, **__: object):
    """A network whose answers are all the same, as it is when ranges are chosen badly."""
    openvino = pytest.importorskip("openvino")
    poor = model.clone()
    for node in poor.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f32:
            node_data = node.data
            if node_data.ndim == 4 and not node_data.flags.writeable:
                zero = openvino.opset13.constant(np.zeros_like(node_data))
                for target in node.output(0).get_target_inputs():
                    target.replace_source_output(zero.output(0))
    return poor
