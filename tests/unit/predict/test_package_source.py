"""A package is found by its path or by an address, and loaded without anything that trains or tracks."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from factories.packages import change_part, make_package
from phytoscope.errors import ConfigError, PackageError
from phytoscope.predict import package_source
from phytoscope.predict.package_archive import pack_package
from phytoscope.predict.package_source import find_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import Precision, Runtime

_ALONE = """
import sys
from phytoscope.predict.predictor import Predictor
answer = Predictor.load(sys.argv[1]).predict(sys.argv[2])
assert answer.label is not None
heavy = {"lightning", "pytorch_lightning", "dagster", "mlflow", "albumentations", "fastapi", "onnxruntime", "openvino"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A package that no test changes."""
    folder = tmp_path_factory.mktemp("made") / "package"
    make_package(folder)
    return folder


def read_address(text: str) -> Path:
    """Finds the package of an address `shelf:PATH`, as a foreign source would."""
    return Path(text.partition(":")[2])


def test_folder_file_and_text(package, tmp_path) -> None:
    """Path or text, folder or file: the same model."""
    pack_package(package, tmp_path / "one.phyto")
    photo = package / "golden" / "1.jpg"
    answers = [Predictor.load(place).predict(photo) for place in (package, str(package), tmp_path / "one.phyto")]
    assert answers[0] == answers[1] == answers[2]


def test_golden_answers_are_verified_on_load(package, tmp_path) -> None:
    """A package that answers otherwise on this machine is not loaded."""
    make_package(tmp_path / "package")
    rows = json.loads((tmp_path / "package" / "golden.json").read_text())
    rows[1]["answer"].reverse()
    change_part(tmp_path / "package", "golden.json", json.dumps(rows).encode())
    with pytest.raises(PackageError, match="does not reproduce its golden answers"):
        Predictor.load(tmp_path / "package")


@pytest.mark.parametrize("runtime", [Runtime.onnxruntime, Runtime.openvino])
def test_other_runtime(package, runtime) -> None:
    """What was asked for computes, and the answer is the same."""
    pytest.importorskip(runtime.value, reason="the runtime is not installed")
    photo = package / "golden" / "1.jpg"
    predictor = Predictor.load(package, runtime=runtime)
    assert predictor.engine.runtime is runtime
    expected, found = (each.predict(photo).probabilities for each in (Predictor.load(package), predictor))
    assert found == pytest.approx(expected, abs=1e-4)


def test_numbers_that_the_package_lacks(package) -> None:
    """8 bits only where the package holds such a network."""
    with pytest.raises((PackageError, ConfigError)):
        Predictor.load(package, precision=Precision.int8)


def test_address_of_a_foreign_source(package, monkeypatch) -> None:
    """Another distribution can provide a kind of address through its entry points."""
    points = EntryPoints([EntryPoint("shelf", f"{__name__}:read_address", package_source.SOURCES_GROUP)])
    monkeypatch.setattr(package_source, "entry_points", lambda group: points.select(group=group))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    assert find_package(f"shelf:{package}") == package
    assert Predictor.load(f"shelf:{package}").description.model_id == "0123456789abcdef"
    with pytest.raises(ConfigError, match=r"'book' is no known kind of address; choose one of: shelf\."):
        find_package("book:x")


def test_registry_is_a_known_kind() -> None:
    """`models:` is ours, and its errors are those of the registry."""
    with pytest.raises(ConfigError, match="models:/"):
        find_package("models:/leaves")


@pytest.mark.parametrize("text", [r"C:\models\leaves", "C:/models/leaves", "runs/x/package", "./a:b"])
def test_path_that_looks_like_an_address(text) -> None:
    """One letter is a drive of Windows, and what follows a slash is no scheme."""
    assert find_package(text) == Path(text)
    assert find_package(Path("models:x")) == Path("models:x")


def test_existing_path_comes_first(tmp_path, monkeypatch) -> None:
    """A folder may be called like an address."""
    monkeypatch.chdir(tmp_path)
    try:
        Path("shelf:leaves").mkdir()
    except OSError:
        pytest.skip("no such names on this system")
    assert find_package("shelf:leaves") == Path("shelf:leaves")


def test_it_needs_neither_training_nor_tracking(package) -> None:
    """In a fresh interpreter nothing but what answers is imported."""
    command = [sys.executable, "-c", _ALONE, str(package), str(package / "golden" / "0.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
