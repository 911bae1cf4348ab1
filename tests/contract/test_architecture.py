"""Imports inside the package follow the table of rooms, and the check of that can fail."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contract.architecture import (
    BUILT_ON,
    NOT_A_ROOM,
    ROOMS,
    WITHOUT_LIBRARY,
    find_forbidden_imports,
    find_forbidden_libraries,
    find_rings,
)
from contract.source_checks import ROOT, SOURCE


@pytest.fixture
def package_copy(tmp_path: Path) -> Path:
    """A copy of the package's sources that a test may spoil."""
    return Path(shutil.copytree(SOURCE, tmp_path / "phytoscope", ignore=shutil.ignore_patterns("__pycache__")))


def plant(package: Path, module: str, code: str) -> None:
    """Write a module into the copied package."""
    path = package / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)


def test_imports_follow_the_table() -> None:
    """Every import inside the package is allowed by the table of rooms."""
    faults = find_forbidden_imports(SOURCE)
    assert not faults, "\n" + "\n".join(faults)


def test_rooms_do_without_the_libraries_they_promise_to() -> None:
    """No room needs a library it promises to do without."""
    faults = find_forbidden_libraries(SOURCE)
    assert not faults, "\n" + "\n".join(faults)


def test_folders_form_no_ring() -> None:
    """What a folder builds on does not import it back."""
    faults = find_rings(SOURCE)
    assert not faults, "\n" + "\n".join(faults)
    assert all((SOURCE / place).is_dir() for places in BUILT_ON.items() for place in (places[0], *places[1]))


def test_planted_ring_is_reported(package_copy: Path) -> None:
    """A reader that needs a check is reported."""
    plant(package_copy, "data/readers/planted.py", "from phytoscope.data.validate.rules import check_rules")
    assert find_rings(package_copy) == ["data/readers/planted.py:1: data/validate builds on data/readers"]


@pytest.mark.parametrize(
    ("module", "code", "room"),
    [
        ("data/planted.py", "from phytoscope.train import task", "train"),
        ("data/planted.py", "import phytoscope.models.heads", "models"),
        ("data/planted.py", "from phytoscope import predict", "predict"),
        ("data/planted.py", "from ..evaluate import metrics", "evaluate"),
        ("data/planted.py", "from .. import steps", "steps"),
        ("data/planted.py", "def late():\n    from phytoscope.visualize import figures\n", "visualize"),
        ("data/planted.py", "if TYPE_CHECKING:\n    import phytoscope.models", "models"),
        ("data/planted.py", "import importlib\nimportlib.import_module('phytoscope.cli')", "cli"),
        ("data/deep/planted.py", "from ...models import heads", "models"),
        ("errors.py", "from phytoscope.schema import columns", "schema"),
        ("schema/planted.py", "from phytoscope.data import read", "data"),
        ("steps.py", "from phytoscope.cli import main", "cli"),
        ("visualize/planted.py", "import phytoscope", "__init__"),
        ("data/planted.py", "from phytoscope import Predictor", "__init__"),
    ],
)
def test_planted_import_is_reported(package_copy: Path, module: str, code: str, room: str) -> None:
    """A forbidden import, wherever it hides, is reported with the room it reaches into."""
    before = set(find_forbidden_imports(package_copy))
    plant(package_copy, module, code)
    new = set(find_forbidden_imports(package_copy)) - before
    assert any(fault.startswith(f"{module}:") and fault.endswith(f"may not import {room}") for fault in new), new


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("data/planted.py", "from phytoscope.transforms import preprocess\nfrom phytoscope import errors, schema"),
        ("data/planted.py", "from phytoscope import __version__"),
        ("train/planted.py", "from phytoscope.data import datamodule\nfrom . import task"),
        ("cli.py", "def main():\n    from phytoscope import steps"),
    ],
)
def test_planted_allowed_import_passes(package_copy: Path, module: str, code: str) -> None:
    """Imports that the table allows are not reported."""
    plant(package_copy, module, code)
    assert [fault for fault in find_forbidden_imports(package_copy) if fault.startswith(f"{module}:")] == []


def test_planted_library_is_reported(package_copy: Path) -> None:
    """A library that a room promises to do without is reported, inside functions too."""
    plant(package_copy, "evaluate/planted.py", "def late():\n    from torch.nn import functional")
    assert "evaluate/planted.py:2: evaluate may not need torch" in find_forbidden_libraries(package_copy)


def test_unknown_room_is_reported(package_copy: Path) -> None:
    """A folder that is not in the table is reported."""
    plant(package_copy, "tools/planted.py", "")
    assert "tools/planted.py: tools is no room of the table" in find_forbidden_imports(package_copy)


def test_no_room_for_leftovers() -> None:
    """No module or folder, at any depth, is named after having no subject."""
    names = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.stem in NOT_A_ROOM}
    assert names == set()


def test_table_has_no_circle() -> None:
    """The table itself allows no two rooms to import each other, not even by a detour."""
    order: list[str] = []
    while len(order) < len(ROOMS):
        ready = [room for room, imports in ROOMS.items() if room not in order and imports <= set(order)]
        assert ready, f"circle among {set(ROOMS) - set(order)}"
        order += ready


def test_documented_table_is_the_tested_one() -> None:
    """docs/architecture.md shows the same table as the one tested here."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)(?:\.py|/)` \|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    documented = {room: set(re.findall(r"`([a-z]+)`", allowed)) for room, allowed in rows}
    assert documented == {room: set(imports) for room, imports in ROOMS.items()}


@pytest.mark.parametrize("place", WITHOUT_LIBRARY)
def test_import_does_not_drag_libraries_in(place: str) -> None:
    """Importing a room in a fresh interpreter loads none of the libraries it promises to do without."""
    if not (SOURCE / place).is_dir() and not (SOURCE / f"{place}.py").is_file():
        pytest.skip(f"{place} is not built yet")
    code = f"import sys, phytoscope.{place.replace('/', '.')}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert WITHOUT_LIBRARY[place] & set(loaded) == set()


def test_import_leaves_no_trace(tmp_path: Path) -> None:
    """Importing the command line neither writes files, nor touches the root logger, nor loads torch."""
    code = (
        "import logging, sys, phytoscope, phytoscope.cli\n"
        "print(logging.getLogger().handlers, 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert found.stdout.strip() == "[] False False"
    assert list(tmp_path.iterdir()) == []
