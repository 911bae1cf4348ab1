"""One folder that holds all that inference needs, and can prove itself."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from factories.packages import change_description as change
from phytoscope.errors import ArtifactError, MissingDependencyError, PackageError
from phytoscope.predict.export.onnx import export_onnx
from phytoscope.predict.package import (
    DESCRIPTION_NAME,
    GOLDEN_NAME,
    ONNX_NAME,
    WEIGHTS_NAME,
    load_package,
    save_package,
    state_hash,
    verify_package,
)
from phytoscope.schema.artifact import hash_file, read_json
from phytoscope.schema.choices import OnnxExport
from phytoscope.schema.table import Task


@pytest.fixture
def package(predictor, photo, tmp_path) -> Path:
    """A package with two golden images and no ONNX file."""
    golden = [photo("one.png"), photo("two.JPG")]
    save_package(predictor, golden, tmp_path / "package", onnx=OnnxExport.never, limitations=["Small test split."])
    return tmp_path / "package"


def test_changed_description_is_refused(package) -> None:
    """A description that was damaged on the way would answer wrongly without any other sign."""
    content = read_json(package / DESCRIPTION_NAME)
    content["model"]["licence"] = "changed"
    (package / DESCRIPTION_NAME).write_text(json.dumps(content))
    with pytest.raises(PackageError, match=r"package\.json .* is not what it was"):
        load_package(package)


def test_loaded_package_answers_as_before(predictor, package, photo) -> None:
    """The numbers and all that is known about the model survive being written."""
    loaded = load_package(package)
    assert loaded.description == predictor.description
    assert loaded.predict(photo("other.png")) == predictor.predict(photo("other.png"))


def test_package_proves_itself(package) -> None:
    """Its golden images give its golden answers."""
    assert verify_package(package) == 0


def test_package_holds_nothing_that_runs(package) -> None:
    """Weights are safetensors, the rest is text and pictures."""
    found = {path.suffix.lower() for path in package.rglob("*") if path.is_file()}
    assert found <= {".json", ".safetensors", ".md", ".png", ".jpg"}
    assert not list(package.parent.glob(".package*"))


def test_card_tells_what_a_person_should_know(predictor, package) -> None:
    """What it answers, on what it was measured, and where it ends."""
    card = (package / "MODEL_CARD.md").read_text(encoding="utf-8")
    answers = predictor.description.class_names or ["fresh_weight", " in g"]
    assert all(name in card for name in answers)
    assert "Small test split." in card
    assert "| `test/accuracy` | 0.5 |" in card
    assert "| `test/mape` | not defined |" in card


def test_older_package_is_replaced_whole(predictor, package, photo) -> None:
    """Nothing of an older package remains in a newer one."""
    (package / "leftover.txt").write_text("old")
    save_package(predictor, [photo("one.png")], package, onnx=OnnxExport.never, limitations=[])
    assert not (package / "leftover.txt").exists()
    assert len(list((package / "golden").iterdir())) == 1


@pytest.mark.parametrize("name", [WEIGHTS_NAME, "golden.json", "golden/0.png", "MODEL_CARD.md"])
def test_missing_part(package, name) -> None:
    """A part that is gone is named."""
    (package / name).unlink()
    with pytest.raises(PackageError, match=f"is not complete: '{name}' is missing; copy it again"):
        load_package(package)


@pytest.mark.parametrize("name", [WEIGHTS_NAME, "golden.json", "golden/0.png", "MODEL_CARD.md"])
def test_changed_part(package, name) -> None:
    """A part that is not what it was is named."""
    content = bytearray((package / name).read_bytes())
    content[-2] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(PackageError, match=f"is damaged: '{name}' is not what it was"):
        load_package(package)


@pytest.mark.parametrize("found", [0, -1, None, "1", True, 1.0])
def test_unknown_format(package, found) -> None:
    """A package of another version of the format is refused."""
    change(package, lambda content: content.update(format=found))
    with pytest.raises(PackageError, match=f"has format {found!r}; this version reads formats 1 to 2"):
        load_package(package)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"3"])
def test_description_is_damaged(package, content) -> None:
    """What is no description is refused without a traceback of ours."""
    (package / DESCRIPTION_NAME).write_bytes(content)
    with pytest.raises(PackageError, match=r"is damaged|has format None"):
        load_package(package)


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.pop("sha256"),
        lambda content: content.pop("model"),
        lambda content: content.update(model=[]),
        lambda content: content["sha256"].pop(WEIGHTS_NAME),
        lambda content: content["model"].pop("class_names"),
        lambda content: content["model"].update(task="guessing"),
        lambda content: content["model"].update(extra=1),
        lambda content: content["model"]["preprocess"].pop("mean"),
        lambda content: content["model"]["preprocess"].update(size_px="large"),
        lambda content: content["model"]["preprocess"].update(resize="shrink"),
        lambda content: content["model"].update(backbone="no_such_net"),
        lambda content: content["model"].update(backbone="test_efficientnet"),
        lambda content: content["model"].update(preprocess=None),
    ],
)
def test_description_does_not_fit(package, edit) -> None:
    """Whatever in the description cannot be used is an error about the package."""
    change(package, edit)
    with pytest.raises(PackageError, match=r"package|model description"):
        load_package(package)


def test_weights_of_another_model_are_found_out(package, predictor) -> None:
    """Weights that were exchanged, with the hash corrected, do not reproduce the golden answers."""
    state = predictor.network.state_dict()
    state["head.bias"] = state["head.bias"] + 0.1 + torch.arange(len(state["head.bias"])) / 2
    safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, package / WEIGHTS_NAME)
    change(package, lambda content: content["sha256"].update({WEIGHTS_NAME: hash_file(package / WEIGHTS_NAME)}))
    load_package(package)
    with pytest.raises(PackageError, match="does not reproduce its golden answers"):
        verify_package(package)


@pytest.mark.parametrize("name", ["missing", "run"])
def test_folder_is_no_package(package, tmp_path, name) -> None:
    """A folder without a description is named, and a package inside it is offered."""
    if name == "run":
        (tmp_path / "run").mkdir()
        package.rename(tmp_path / "run" / "package")
    with pytest.raises(PackageError, match=r"is not a model package|there is no package") as caught:
        load_package(tmp_path / name)
    assert ("Did you mean" in str(caught.value)) == (name == "run")


@pytest.mark.parametrize("model_id", ["../../x", "/etc", "", "a/b", "a" * 65])
@pytest.mark.parametrize("predictor", [Task.classification], indirect=True)
def test_model_id_is_a_plain_name(package, model_id) -> None:
    """Folders are named after the id of a model, so it may not lead anywhere."""
    change(package, lambda content: content["model"].update({"model_id": model_id}))
    with pytest.raises(PackageError, match="no plain name"):
        load_package(package)


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../other.txt", "golden/../../x", "C:/x", "a\\b", "golden/0.png:x", "", "link", "\ud800"]
)
@pytest.mark.parametrize("predictor", [Task.classification], indirect=True)
def test_part_outside_of_the_folder(package, tmp_path, name) -> None:
    """A received package cannot make this machine read other files."""
    if name == "link":
        (tmp_path / "secret.txt").write_text("mine")
        try:
            (package / "link").symlink_to(tmp_path / "secret.txt")
        except OSError:
            pytest.skip("links are not allowed here")
    change(package, lambda content: content["sha256"].update({name: "0" * 64}))
    with pytest.raises(PackageError, match="is not a plain path inside its folder"):
        load_package(package)


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: {"rows": rows},
        lambda _: [],
        lambda _: 3,
        lambda _: ["golden/0.png"],
        lambda _: [{"image": "golden/0.png"}],
        lambda _: [{"answer": [1.0]}],
        lambda rows: [{**rows[0], "answer": [*rows[0]["answer"], 0.0]}],
        lambda rows: [{**rows[0], "answer": 0.5}],
        lambda rows: [{**rows[0], "answer": ["much"]}],
        lambda rows: [{**rows[0], "image": "../one.png"}],
        lambda rows: [{**rows[0], "image": ["golden/0.png"]}],
        lambda rows: [{**rows[0], "image": "model.safetensors"}],
    ],
)
@pytest.mark.parametrize("predictor", [Task.classification], indirect=True)
def test_golden_answers_cannot_be_used(package, edit) -> None:
    """Golden answers of another shape, or of images that are not part of the package, are an error about it."""
    content = json.dumps(edit(read_json(package / GOLDEN_NAME)))
    (package / GOLDEN_NAME).write_text(content)
    change(package, lambda parts: parts["sha256"].update({GOLDEN_NAME: hash_file(package / GOLDEN_NAME)}))
    with pytest.raises(PackageError, match=r"golden\.json of the package .* cannot be used"):
        verify_package(package)


def test_golden_answer_that_is_no_number(package) -> None:
    """A difference that is not a number is no agreement."""
    rows = read_json(package / GOLDEN_NAME)
    rows[0]["answer"] = [float("nan")] * len(rows[0]["answer"])
    (package / GOLDEN_NAME).write_text(json.dumps(rows))
    change(package, lambda parts: parts["sha256"].update({GOLDEN_NAME: hash_file(package / GOLDEN_NAME)}))
    with pytest.raises(PackageError, match="does not reproduce its golden answers"):
        verify_package(package)


@pytest.mark.parametrize(("asked", "allowed"), [(50, 50), (1000, 1000), (1e9, 1000), (float("nan"), 1000)])
def test_limit_of_image_size_is_bounded(package, asked, allowed) -> None:
    """A received package cannot switch off the guard against huge images."""
    change(package, lambda content: content["model"]["preprocess"].update(max_megapixels=asked))
    assert load_package(package).preprocess.max_megapixels == allowed


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_golden_image_is_gone(predictor, package, photo, content) -> None:
    """A golden image that cannot be read any more is named as such, and the older package stays."""
    path = photo("one.png")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"one\.png' is not what it was .*run prepare again"):
        save_package(predictor, [path], package, onnx=OnnxExport.never, limitations=[])
    verify_package(package)


def test_failing_package_replaces_none(predictor, package, photo, monkeypatch) -> None:
    """A package that does not reproduce its answers leaves the older one in its place."""
    finish = predictor.finish
    monkeypatch.setattr(predictor, "finish", lambda outputs: 2 * finish(outputs) + 1)
    with pytest.raises(PackageError, match=r"package' does not reproduce its golden answers"):
        save_package(predictor, [photo("one.png")], package, onnx=OnnxExport.never, limitations=[])
    assert verify_package(package) == 0
    assert not list(package.parent.glob(".package*"))


class TestOnnx:
    """The network for other runtimes."""

    def test_file_is_written_and_equal(self, predictor, photo, tmp_path) -> None:
        """It was compared with torch for 1, 2 and 7 images, and takes any number."""
        runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
        save_package(predictor, [photo("a.png")], tmp_path / "package", onnx=OnnxExport.always, limitations=[])
        place = tmp_path / "package" / ONNX_NAME
        session = runtime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
        pixels = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
        expected = predictor.predict_pixels(pixels)
        (outputs,) = session.run(["outputs"], {"images": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})
        np.testing.assert_allclose(predictor.finish(outputs.astype(np.float64)), expected, rtol=1e-4, atol=1e-4)
        load_package(tmp_path / "package")

    @pytest.mark.parametrize("module", ["onnx", "onnxscript", "onnxruntime"])
    def test_without_the_extra_there_is_a_remark(self, classifier, photo, tmp_path, monkeypatch, module) -> None:
        """`auto` goes on without the file and says which extra brings it."""
        monkeypatch.setitem(sys.modules, module, None)
        (remark,) = save_package(
            classifier, [photo("a.png")], tmp_path / "package", onnx=OnnxExport.auto, limitations=[]
        )
        assert "no ONNX file" in remark
        assert "phytoscope[export]" in remark
        assert not (tmp_path / "package" / ONNX_NAME).exists()
        verify_package(tmp_path / "package")

    def test_without_the_extra_always_is_refused(self, classifier, photo, tmp_path, monkeypatch) -> None:
        """`always` is an error, and no package remains."""
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(MissingDependencyError, match=r"phytoscope\[export\]"):
            save_package(classifier, [photo("a.png")], tmp_path / "package", onnx=OnnxExport.always, limitations=[])
        assert not (tmp_path / "package").exists()

    @pytest.mark.parametrize("error", [torch.onnx.OnnxExporterError, NotImplementedError, AttributeError, None])
    @pytest.mark.parametrize("onnx", [OnnxExport.auto, OnnxExport.always])
    def test_network_that_cannot_be_exported(self, classifier, photo, tmp_path, monkeypatch, error, onnx) -> None:
        """`auto` goes on without the file, `always` is an error, and the network is laid out as before."""
        pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

        def fail(_network: object, _example: object, path: str, **_: object) -> None:
            Path(path).write_bytes(b"half")
            if error is not None:
                message = "no such operator"
                raise error(message)

        monkeypatch.setattr(torch.onnx, "export", fail)
        golden, place = [photo("a.png")], tmp_path / "package"
        if onnx is OnnxExport.always:
            with pytest.raises(PackageError, match=r"'test_resnet' cannot be written as ONNX .*package\.onnx=never"):
                save_package(classifier, golden, place, onnx=onnx, limitations=[])
            assert not place.exists()
        else:
            (remark,) = save_package(classifier, golden, place, onnx=onnx, limitations=[])
            assert "no ONNX file: the network 'test_resnet' cannot be written" in remark
            assert not (place / ONNX_NAME).exists()
            verify_package(place)
        weights = [value for value in classifier.network.state_dict().values() if value.ndim == 4]
        assert all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)

    def test_difference_is_a_share_and_a_number(self, classifier, tmp_path, monkeypatch) -> None:
        """Large outputs may differ by more, because rounding does; outputs that are no numbers are refused."""
        pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
        with torch.no_grad():
            classifier.network.head.weight *= 1e5
        assert export_onnx(classifier, tmp_path / ONNX_NAME) < 1e-4
        monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: None)
        with torch.no_grad():
            classifier.network.head.bias.fill_(float("nan"))
        with pytest.raises(PackageError, match="differs from the network by nan"):
            export_onnx(classifier, tmp_path / ONNX_NAME)


def test_state_hash_depends_on_every_number(classifier) -> None:
    """Another number or another name is another model; the order of the names is not."""
    state = dict(classifier.network.state_dict())
    known = state_hash(state)
    assert len(known) == 16
    assert state_hash(dict(reversed(state.items()))) == known
    assert state_hash({**state, "head.bias": state["head.bias"] + 1}) != known
    assert state_hash({f"x{name}": value for name, value in state.items()}) != known
