"""Files that build images, by their rules, and what they rely on: a base install that works without any extra."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from contract.source_checks import ROOT

DOCKERFILES = sorted((ROOT / "dockerfiles").glob("*.Dockerfile"))
API = (ROOT / "dockerfiles" / "api.Dockerfile").read_text(encoding="utf-8")
HADOLINT = Path(sys.executable).with_name("hadolint")
TRY_INSTALL = ROOT / "tests" / "try_install.py"
linted = pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed; its package is for Linux")


def run_alone(*words):
    """Runs Python in a process of its own."""
    return subprocess.run([sys.executable, *map(str, words)], check=False, capture_output=True, text=True, cwd=ROOT)


@linted
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    """Each file keeps the rules, those of the shell inside it included."""
    found = subprocess.run([HADOLINT, path], check=False, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stdout


PLANTED = {
    "RUN pip install flask": "DL3013",
    "RUN cd /tmp && ls": "DL3003",
    "USER root": "DL3002",
    "ADD . /x": "DL3020",
}


@linted
@pytest.mark.parametrize(("line", "code"), PLANTED.items())
def test_hadolint_finds_a_planted_fault(tmp_path, line, code):
    """Rules are looked at, and only the one about versions of Debian's libraries is not."""
    (tmp_path / "wrong.Dockerfile").write_text(f"{API}\n{line}\n", encoding="utf-8")
    command = [HADOLINT, "--no-color", tmp_path / "wrong.Dockerfile"]
    found = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 1
    assert code in found.stdout
    assert yaml.safe_load((ROOT / ".hadolint.yaml").read_text(encoding="utf-8"))["ignored"] == ["DL3008"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_runs_is_not_what_builds(path):
    """The image that runs gets what was installed and nothing else: no sources, no caches, no programs that build."""
    _, _, last = path.read_text(encoding="utf-8").rpartition("\nFROM ")
    copied = re.findall(r"^COPY (.+)$", last, flags=re.MULTILINE)
    assert [line for line in copied if not line.startswith("--from=build ")] == []
    assert re.search(r"\b(pip|gcc|build-essential|git|curl)\b", last) is None
    assert "rm -rf /var/lib/apt/lists/*" in last


def test_service_image_is_for_processors():
    """Unless asked otherwise it has torch without the libraries of GPUs, and it can be asked how it is."""
    assert re.search(r"^ARG TORCH_BACKEND=cpu$", API, flags=re.MULTILINE)
    assert '--torch-backend "${TORCH_BACKEND}"' in API
    assert "HEALTHCHECK NONE" not in API
    assert "/healthz" in API


@pytest.fixture(scope="module")
def bare_run():
    """What an install without any extra says when it is used."""
    found = run_alone(TRY_INSTALL, "--hide-extras")
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    return found.stdout


def test_base_install_answers_for_both_tasks(bare_run):
    """Without any extra the command line starts, and packages of both tasks prove themselves and answer."""
    assert "Usage: phytoscope" in bare_run
    assert re.search(r"^format_\d_classes: \S.*, (accept|review|reject)$", bare_run, flags=re.MULTILINE)
    assert re.search(r"^format_\d_numbers: \d.*, (accept|review|reject)$", bare_run, flags=re.MULTILINE)


def test_answering_needs_neither_training_nor_other_runtimes(bare_run):
    """Nothing of Lightning, MLflow or the exporters was loaded on the way."""
    assert bare_run.endswith("loaded: []\n")


def test_what_an_extra_brings_is_told_when_it_is_missing():
    """The hidden modules are gone for the package too, and it says which extra brings them."""
    code = """
import sys
sys.path.insert(0, "tests")
from try_install import hide_extras
hidden = hide_extras()
assert {"onnxruntime", "fastapi", "mlflow", "ray", "dagster", "pytest"} <= hidden, hidden
assert not {"torch", "cv2", "yaml", "sklearn", "phytoscope", "lightning"} & hidden, hidden
from phytoscope import errors
for module in ("onnxruntime", "fastapi", "mlflow"):
    try:
        errors.require(module)
    except errors.MissingDependencyError as error:
        print(error)
"""
    found = run_alone("-c", code)
    assert found.returncode == 0, found.stderr
    assert re.findall(r'"phytoscope\[(\w+)\]"', found.stdout) == ["export", "serve", "track"]
