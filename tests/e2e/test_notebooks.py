"""The notebooks run as they are, call only what is public, and carry no outputs."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import phytoscope as ph

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["biomass_eda", "biomass_training", "disease_eda", "disease_training"]
RUNNER = Path(__file__).parent / "run_notebook.py"


def read_code(path):
    """Parse the code of all cells."""
    cells = nbformat.read(path, as_version=4).cells
    return ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))


def test_these_are_the_notebooks():
    """There is a notebook to look at the data and one to train, for each task."""
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_calls_only_what_is_public(name):
    """A notebook imports the package as `ph`, pandas and matplotlib, and takes only public names."""
    tree = read_code(ROOT / "notebooks" / f"{name}.ipynb")
    imported = {
        (alias.name, alias.asname) for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ph"
    }

    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert imported == {("phytoscope", "ph"), ("pandas", "pd"), ("matplotlib.pyplot", "plt")}
    assert used
    assert used <= set(ph.__all__)


def test_outputs_are_stripped():
    """No notebook holds outputs, counts of executions or the names of somebody's kernel."""
    pytest.importorskip("nbstripout")
    done = subprocess.run(
        [sys.executable, "-m", "nbstripout", "--verify", *map(str, NOTEBOOKS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def run_notebook(name, place):
    """Run a notebook in an empty folder and give all outputs of its cells."""
    # The screen that tests do not have is the page of the notebook here.
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    environment |= {f"{key}_DIR": str(place / key.lower()) for key in ("JUPYTER_CONFIG", "JUPYTER_RUNTIME")}
    environment |= {"IPYTHONDIR": str(place / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    work = place / "work"
    work.mkdir()
    # In a process of its own: a kernel is asked through sockets, which are closed in tests.
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(ROOT / "notebooks" / f"{name}.ipynb"), str(place / "result.ipynb")],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cells = nbformat.read(place / "result.ipynb", as_version=4).cells
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "training" in name else []) for name in NAMES]
)
def test_notebook_runs(name, tmp_path):
    """Each notebook runs from an empty folder to its end, shows figures, and warns of nothing."""
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        pytest.skip("no notebook can be run without nbclient and ipykernel")
    outputs = run_notebook(name, tmp_path)

    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert "text/html" in kinds
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    if "training" in name:
        assert list((tmp_path / "work").glob("runs/*/package/*.safetensors"))
    else:
        assert list((tmp_path / "work").glob("runs/inspect-*/inspect.html"))
