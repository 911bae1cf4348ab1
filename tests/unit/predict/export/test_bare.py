"""The bare network for other programs, with a page that says what goes in and comes out."""

import numpy as np
import pytest

from factories.colour_net import make_colour_predictor
from factories.packages import make_package
from phytoscope.errors import PackageError
from phytoscope.models.openvino_core import get_core
from phytoscope.predict.export.bare import README_NAME, word_bare, write_bare


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two numbers with covariates, and a cache of the user's."""
    for module in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_package(tmp_path / "package", "several")
    return tmp_path / "package"


def test_both_forms_are_written_with_a_page(package, tmp_path) -> None:
    """Inputs, outputs, columns and scales are named; the file runs as the page says; a full folder is kept."""
    onnx = write_bare(package, tmp_path / "bare onnx", openvino=False)
    assert [path.name for path in onnx] == ["model.onnx", README_NAME]
    page = onnx[-1].read_text(encoding="utf-8")
    for words in ("(N, 3, 32, 32)", "`covariates` | float32", "age, state", '"fresh_weight"', '"leaves"', '"squash"'):
        assert words in page
    own = write_bare(package, tmp_path / "bare openvino", openvino=True)
    assert [path.name for path in own] == ["model.xml", "model.bin", README_NAME]
    assert "(N, 32, 32, 3)" in own[-1].read_text(encoding="utf-8")
    compiled = get_core().compile_model(str(own[0]), "CPU")
    covariates = np.zeros((2, compiled.inputs[1].get_partial_shape()[1].get_length()), dtype=np.float32)
    outputs = compiled([np.zeros((2, 32, 32, 3), dtype=np.uint8), covariates])[0]
    assert outputs.shape == (2, 2)
    with pytest.raises(PackageError, match="is not an empty folder: choose another --output"):
        write_bare(package, tmp_path / "bare onnx", openvino=False)


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_page_names_the_answers(kind, tmp_path) -> None:
    """Classes in the order of the outputs; numbers with their scale."""
    page = word_bare(make_package(tmp_path / "package", kind), "model.onnx", channels_last=False)
    assert ("logits; softmax gives probabilities, not calibrated, of: Äpfel, grün, rust, scab" in page) == (
        kind == "classes"
    )
    assert ('"fresh_weight": {' in page) == (kind == "number")
    assert "`covariates`" not in page


def test_page_of_an_ensemble_says_how_answers_are_joined() -> None:
    """The file gives the outputs of each network; who uses it has to average."""
    page = word_bare(make_colour_predictor(members=2), "model.onnx", channels_last=False)
    assert "outputs of every network of the ensemble, one after the other; answers are averaged after decoding" in page
