"""Every engine gives the answers of torch, for every kind of model, and what cannot be used is refused."""

import dataclasses
import platform
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from factories.packages import ENCODER, MEANINGS, change_part, make_package
from factories.trust import make_trust
from phytoscope.errors import ConfigError, MissingDependencyError, PackageError
from phytoscope.models.ensemble import join_meanings, join_states
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.engines import build, equip, names
from phytoscope.predict.engines.check import check_engine, compare_engines
from phytoscope.predict.engines.choose import choose_engine, name_processor
from phytoscope.predict.engines.equip import equip_predictor
from phytoscope.predict.engines.openvino_engine import build_openvino_engine, read_openvino
from phytoscope.predict.engines.torch_engine import build_torch_engine
from phytoscope.predict.export.onnx import export_onnx
from phytoscope.predict.package import load_package, save_package, seal_package
from phytoscope.predict.package_files import GOLDEN_NAME, ONNX_NAME, open_files
from phytoscope.predict.package_golden import answer_golden
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.trust_files import TRUST_NAME, write_trust
from phytoscope.schema.artifact import read_json, write_json
from phytoscope.schema.choices import OnnxExport, Precision, Runtime
from phytoscope.schema.table import Task

SIDE = 32
OTHERS = [Runtime.onnxruntime, Runtime.openvino]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the user's for each test."""
    for module in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "phytoscope" / "engines"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Where packages lie that were made once: writing a graph takes seconds."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def make_whole(made, tmp_path) -> Callable[..., Path]:
    """Makes a package with an ONNX file, a copy of one that was made before."""

    def make(meaning: str = "classes", **changes) -> Path:
        kept = made / f"{meaning} {changes}"
        if not kept.exists():
            write_whole(kept, meaning, **changes)
        return Path(shutil.copytree(kept, tmp_path / f"whole {meaning} {changes}")) / "package"

    return make


@pytest.fixture
def pixels() -> np.ndarray:
    """Five squares."""
    return np.random.default_rng(3).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)


def write_whole(folder: Path, meaning: str, **changes) -> None:
    """Writes a package with an ONNX file."""
    predictor = make_package(folder / "plain", meaning)
    predictor.description = dataclasses.replace(predictor.description, **changes)
    photos = sorted((folder / "photos").iterdir())
    save_package(predictor, photos, folder / "package", onnx=OnnxExport.always, limitations=[])


def make_ensemble(folder: Path, meaning: str) -> Path:
    """A package of two networks."""
    one, two = (make_package(folder / name, meaning) for name in ("one", "two"))
    state = two.network.state_dict()
    state["head.weight"] = -state["head.weight"]
    members = [describe_meaning(each.meaning) for each in (one, two)]
    joined = describe_meaning(join_meanings([one.meaning, two.meaning]))
    description = dataclasses.replace(one.description, **joined, members=members)
    predictor = Predictor(description, join_states([one.network.state_dict(), state]))
    photos = sorted((folder / "photos").iterdir())
    save_package(predictor, photos, folder / "package", onnx=OnnxExport.always, limitations=[])
    return folder / "package"


def assert_same(package: Path, runtime: Runtime, pixels: np.ndarray) -> None:
    """The answers and features of an engine are those of torch, for one image and for several."""
    torch, other = load_package(package), load_package(package)
    assert equip_predictor(other, open_files(package), runtime) < 1e-4
    assert other.engine.runtime is runtime
    covariates = None
    if torch.meaning.covariate_dim > 0:
        shape = (len(pixels), torch.meaning.covariate_dim)
        covariates = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for count in (1, 5):
        beside = None if covariates is None else covariates[:count]
        expected, features = torch.observe_features(pixels[:count], beside)
        found, own = other.observe_features(pixels[:count], beside)
        np.testing.assert_allclose(found.answers, expected.answers, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own, features, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.novelty, expected.novelty, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("runtime", OTHERS)
@pytest.mark.parametrize("meaning", MEANINGS)
def test_answers_are_those_of_torch(make_whole, pixels, runtime, meaning) -> None:
    """For classes and numbers, with and without covariates."""
    assert_same(make_whole(meaning), runtime, pixels)


@pytest.mark.parametrize("runtime", OTHERS)
def test_views_are_made_on_every_engine(make_whole, pixels, runtime) -> None:
    """The file holds one look at an image; turned and mirrored looks are averaged outside of it."""
    package = make_whole(views=4)
    assert_same(package, runtime, pixels)
    single = make_whole()
    assert (
        np.abs(load_package(package).predict_pixels(pixels) - load_package(single).predict_pixels(pixels)).max() > 1e-4
    )


@pytest.mark.parametrize("meaning", ["classes", "several"])
def test_ensembles_run_on_every_engine(tmp_path, pixels, meaning) -> None:
    """All outputs of all networks, and the features of the first."""
    package = make_ensemble(tmp_path, meaning)
    for runtime in OTHERS:
        assert_same(package, runtime, pixels)


def test_package_without_onnx_is_translated_once(tmp_path, pixels, cache, monkeypatch) -> None:
    """The translation is kept in the user's cache, and is not made again for another runtime."""
    make_package(tmp_path / "package")
    assert_same(tmp_path / "package", Runtime.onnxruntime, pixels)
    assert len(list(cache.glob("*.onnx"))) == 1
    monkeypatch.setattr(build, "export_onnx", None)
    assert_same(tmp_path / "package", Runtime.openvino, pixels)


def test_cache_that_cannot_be_written_is_done_without(tmp_path, pixels, monkeypatch, make_whole) -> None:
    """A file where the folder should be: the engine is built all the same."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    make_package(tmp_path / "package")
    assert_same(tmp_path / "package", Runtime.onnxruntime, pixels)
    package = make_whole()
    predictor = load_package(package)
    equip_predictor(predictor, open_files(package), Runtime.auto)
    assert predictor.engine.runtime is not Runtime.auto


@pytest.mark.slow
@pytest.mark.parametrize("runtime", OTHERS)
def test_old_file_without_features_is_translated_anew(make_whole, pixels, runtime, cache) -> None:
    """ONNX files of format 1 give outputs alone; novelty needs the features too."""
    onnx = pytest.importorskip("onnx")
    package = make_whole()
    graph = onnx.load(package / ONNX_NAME)
    del graph.graph.output[1]
    onnx.save(graph, package / ONNX_NAME)
    seal_package(package, load_package(package.parent / "plain").description)
    assert_same(package, runtime, pixels)
    assert len(list(cache.glob("*.onnx"))) == 1


def test_many_threads_get_their_own_answers(make_whole) -> None:
    """Calls side by side, more of them than there are requests, do not mix up their images."""
    package = make_whole()
    predictor, files = load_package(package), open_files(package)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8) for count in (1, 3, 7, 1, 2) * 4]
    expected = [predictor.look(batch)[0] for batch in batches]
    for runtime in OTHERS:
        predictor.use(choose_engine(predictor, files, runtime, cores=2))
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda batch: predictor.look(batch)[0], batches))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_an_image_gets_the_same_numbers_in_any_company(make_whole, pixels) -> None:
    """In OpenVINO, bit for bit: images are computed one by one."""
    model = read_openvino((make_whole() / ONNX_NAME).read_bytes())
    engine = build_openvino_engine(model, SIDE, 2)
    together = engine.look(pixels, None)[0]
    assert np.array_equal(together[:3], engine.look(pixels[:3], None)[0])
    assert np.array_equal(together[::-1], engine.look(np.ascontiguousarray(pixels[::-1]), None)[0])


def test_requests_are_free_again_after_a_fault(make_whole, pixels) -> None:
    """Images of another size are refused, and the next ones are answered."""
    package = make_whole()
    engine = choose_engine(load_package(package), open_files(package), Runtime.openvino, cores=2)
    expected = engine.look(pixels, None)[0]
    for _ in range(3):
        with pytest.raises(RuntimeError):
            engine.look(pixels[:, :16, :16], None)
    assert np.array_equal(engine.look(pixels, None)[0], expected)


@pytest.mark.parametrize("runtime", OTHERS)
def test_other_numbers_are_refused(tmp_path, runtime, make_whole) -> None:
    """A file of another network under a right hash is found out by its answers."""
    package, other = make_whole(), make_package(tmp_path / "other" / "package")
    other.network.head.weight.data *= 1.5
    export_onnx(other, package / ONNX_NAME)
    seal_package(package, load_package(package.parent / "plain").description)
    with pytest.raises(ConfigError, match=rf"{runtime.value} cannot run .* differ from torch by .*runtime=torch"):
        choose_engine(load_package(package), open_files(package), runtime)


def test_differences_are_told(tmp_path, pixels) -> None:
    """Twice the outputs, other shapes, and numbers that are none, are refused; the same engine is not."""
    predictor = make_package(tmp_path / "package")
    torch = build_torch_engine(predictor.network)
    assert check_engine(torch, torch, SIDE, 0) is torch
    twice = dataclasses.replace(torch, look=lambda *given: (2 * torch.look(*given)[0], torch.look(*given)[1]))
    assert compare_engines(twice, torch, SIDE, 0) == pytest.approx(1.0)
    broken = dataclasses.replace(torch, look=lambda *given: (np.nan * torch.look(*given)[0], torch.look(*given)[1]))
    with pytest.raises(ValueError, match=r"differ from torch by nan, allowed is 0\.001"):
        check_engine(broken, torch, SIDE, 0)
    short = dataclasses.replace(torch, look=lambda *given: (torch.look(*given)[0][:, :1], torch.look(*given)[1]))
    with pytest.raises(ValueError, match=r"numbers of shape \(4, 1\), torch \(4, 3\)"):
        check_engine(short, torch, SIDE, 0)


@pytest.mark.parametrize("runtime", OTHERS)
def test_missing_runtime_is_named(make_whole, runtime, monkeypatch) -> None:
    """With the extra that brings it; `auto` takes another one."""
    package = make_whole()
    monkeypatch.setitem(sys.modules, runtime.value, None)
    predictor, files = load_package(package), open_files(package)
    with pytest.raises(MissingDependencyError, match=rf"'{runtime.value}' is needed here"):
        choose_engine(predictor, files, runtime)
    assert choose_engine(predictor, files, Runtime.auto).runtime is not runtime


def test_engine_that_breaks_the_golden_answers_is_refused(make_whole) -> None:
    """The last proof of an engine is what the package keeps."""
    package = make_whole()
    rows = read_json(package / GOLDEN_NAME)
    rows[0]["answer"] = rows[0]["answer"][::-1]
    write_json(package / GOLDEN_NAME, rows)
    seal_package(package, load_package(package.parent / "plain").description)
    with pytest.raises(PackageError, match=r"onnxruntime \(float32\) does not reproduce the golden answers"):
        equip_predictor(load_package(package), open_files(package), Runtime.onnxruntime)


def test_eight_bits_must_be_there(make_whole) -> None:
    """A package without them names the command; other runtimes than OpenVINO do not compute them."""
    package = make_whole()
    predictor, files = load_package(package), open_files(package)
    with pytest.raises(PackageError, match=r"no network in 8 bits: `phytoscope export RUN"):
        choose_engine(predictor, files, Runtime.auto, Precision.int8)
    with pytest.raises(ConfigError, match="computed by OpenVINO, not by torch"):
        choose_engine(predictor, files, Runtime.torch, Precision.int8)


class TestAuto:
    """The fastest runtime, by measurement."""

    def test_choice_is_measured_once(self, make_whole, cache) -> None:
        """And kept: the second time it is said and not measured."""
        package, said = make_whole(), []
        predictor, files = load_package(package), open_files(package)
        first = choose_engine(predictor, files, Runtime.auto, say=said.append)
        (kept,) = cache.glob("*.json")
        content = read_json(kept)
        assert set(content["rates"]) == {"torch", "onnxruntime", "openvino"}
        assert content["runtime"] == max(content["rates"], key=content["rates"].get) == first.runtime.value
        assert first.batch_size == content["batch_size"]
        assert "measured just now" in said[0]
        slower = next(name for name in content["rates"] if name != content["runtime"])
        write_json(kept, {**content, "runtime": slower})
        second = choose_engine(predictor, files, Runtime.auto, say=said.append)
        assert second.runtime.value == slower
        assert f"{slower} computes the network" in said[1]
        assert "when it was measured on this machine" in said[1]

    @pytest.mark.parametrize("content", ["{", "[]", '{"runtime": "abacus", "batch_size": 1, "rates": {}}'])
    def test_damaged_choice_is_measured_again(self, make_whole, cache, content) -> None:
        """It is replaced by a whole one."""
        package = make_whole()
        predictor, files = load_package(package), open_files(package)
        choose_engine(predictor, files, Runtime.auto)
        (kept,) = cache.glob("*.json")
        kept.write_text(content)
        choose_engine(predictor, files, Runtime.auto)
        assert read_json(kept)["rates"]

    def test_what_cannot_run_is_passed_over_with_a_word(self, make_whole) -> None:
        """A file that is no graph leaves torch, and both others are said to fail."""
        package, said = make_whole(), []
        (package / ONNX_NAME).write_bytes(b"no graph")
        seal_package(package, load_package(package.parent / "plain").description)
        engine = choose_engine(load_package(package), open_files(package), Runtime.auto, say=said.append)
        assert engine.runtime is Runtime.torch
        assert [line.split()[0] for line in said[:2]] == ["onnxruntime", "openvino"]
        assert all("cannot run this network" in line for line in said[:2])

    def test_other_cores_are_measured_apart(self, make_whole, cache) -> None:
        """What is fastest on one core may not be on four."""
        package = make_whole()
        predictor, files = load_package(package), open_files(package)
        for cores in (1, 2):
            choose_engine(predictor, files, Runtime.auto, cores=cores)
        assert len(list(cache.glob("*.json"))) == 2


def test_eight_bits_without_openvino_name_what_is_missing(tmp_path, monkeypatch) -> None:
    """A package that holds them is not called damaged on a machine that cannot compute them."""
    folder = tmp_path / "package"
    predictor = make_package(folder)
    for name in (build.INT8_GRAPH, build.INT8_WEIGHTS):
        change_part(folder, name, b"<net/>")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match="'openvino' is needed here"):
        choose_engine(predictor, open_files(folder), Runtime.openvino, Precision.int8)


def test_remembered_runtime_that_is_gone_is_measured_anew(make_whole, cache, monkeypatch) -> None:
    """What was fastest here may have been taken away since; another one is found and remembered."""
    package = make_whole()
    predictor, files = load_package(package), open_files(package)
    choose_engine(predictor, files, Runtime.auto)
    (place,) = cache.glob("*.json")
    write_json(place, {"runtime": "openvino", "batch_size": 2, "rates": {"openvino": 9.0}})
    monkeypatch.setitem(sys.modules, "openvino", None)
    said: list[str] = []
    assert choose_engine(predictor, files, Runtime.auto, say=said.append).runtime is not Runtime.openvino
    assert said[-1].endswith("measured just now")
    assert read_json(place)["runtime"] != "openvino"


def test_processor_has_a_name_on_every_system(monkeypatch) -> None:
    """Where there is no list of processors, the system is asked."""
    monkeypatch.setattr(platform, "processor", lambda: "a chip")

    def refuse(*_words, **_settings):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert name_processor() == "a chip"


def test_versions_are_those_of_what_is_installed(monkeypatch) -> None:
    """A library that is not there has no version; what was measured without it is not taken for a machine with it."""
    monkeypatch.setattr(build, "_LIBRARIES", ("torch", "no-such-library"))
    assert list(build.list_versions()) == ["torch"]


@pytest.mark.parametrize(("given", "gives"), [(["x"], None), (None, ["outputs"]), ([], [])])
def test_network_with_other_inputs_or_outputs_is_foreign(given, gives) -> None:
    """An exported network of another program is told by the names it uses."""
    known = [names.INPUT_NAME], [names.OUTPUT_NAME, names.FEATURES_NAME]
    names.check_names(*known)
    with pytest.raises(names.ForeignGraphError, match="the exported network takes"):
        names.check_names(known[0] if given is None else given, known[1] if gives is None else gives)


def test_requests_at_work_are_waited_for_after_a_fault(make_whole, pixels) -> None:
    """Too few covariates are refused in the middle, and the next call gets its own answers."""
    package = make_whole("several")
    engine = choose_engine(load_package(package), open_files(package), Runtime.openvino, cores=2)
    covariates = np.zeros((len(pixels), ENCODER.dim), dtype=np.float32)
    expected = engine.look(pixels, covariates)[0]
    with pytest.raises(RuntimeError):
        engine.look(pixels, covariates[:1])
    assert np.array_equal(engine.look(pixels, covariates)[0], expected)


@pytest.mark.parametrize("is_judged", [True, False])
def test_eight_bits_are_judged_by_their_own_thresholds(tmp_path, monkeypatch, is_judged) -> None:
    """And prove themselves by their own golden answers; without thresholds of their own, those of 32 bits stay."""
    folder = tmp_path / "package"
    made = make_package(folder)
    before, own = load_package(folder).trust, make_trust(Task.classification, least=0.4)
    small = dataclasses.replace(made.engine, precision=Precision.int8)
    monkeypatch.setattr(equip, "choose_engine", lambda *_words, **_settings: small)
    if is_judged:
        made.use(small, own)
        write_trust(tmp_path / "own", own, None)
        change_part(folder, f"int8/{TRUST_NAME}", (tmp_path / "own" / TRUST_NAME).read_bytes())
    write_json(tmp_path / "answers.json", answer_golden(made, open_files(folder)))
    (folder / "int8" / GOLDEN_NAME).parent.mkdir(parents=True, exist_ok=True)
    change_part(folder, f"int8/{GOLDEN_NAME}", (tmp_path / "answers.json").read_bytes())
    loaded = load_package(folder)
    assert equip_predictor(loaded, open_files(folder), Runtime.openvino, Precision.int8) < 1e-5
    assert loaded.engine is small
    assert loaded.trust == (own if is_judged else before)
