"""What is installed, pinned and documented agrees with what is declared."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tasks
from contract.source_checks import ROOT, SOURCE

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)[1].split()
WHEEL_BYTES = 2_500_000
"""Largest size of the wheel; it has 1.5 MB now."""
DECLARED = [*PROJECT["dependencies"], *(text for texts in PROJECT["optional-dependencies"].values() for text in texts)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = folder.glob("phytoscope-*.whl")
    return made


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    """Names of the files in it."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_wheel_holds_every_file_of_the_package(wheel_names: set[str]) -> None:
    """Nothing under src/phytoscope is left out of the wheel, be it code or data."""
    files = (path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in {".pyc", ".pyo"})
    assert {path.relative_to(SOURCE.parent).as_posix() for path in files} - wheel_names == set()


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [r"configs/.+\.yaml", r"visualize/templates/.+", r"py\.typed"])
def test_wheel_holds_package_data(wheel_names: set[str], pattern: str) -> None:
    """Configuration, report templates and the marker of a typed package are in the wheel."""
    assert any(re.fullmatch(f"phytoscope/{pattern}", name) for name in wheel_names)


@pytest.mark.slow
def test_wheel_holds_only_the_package(wheel_names: set[str]) -> None:
    """The wheel installs phytoscope, and no tests or tasks beside it."""
    assert {name.partition("/")[0].split("-")[0] for name in wheel_names} == {"phytoscope"}


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["twine check --strict", "check-wheel-contents"])
def test_wheel_passes_the_checkers(wheel: Path, checker: str) -> None:
    """Its description can be shown where it is published, and it holds nothing that a wheel should not hold."""
    name, *options = checker.split()
    command = [str(Path(sys.executable).with_name(name)), *options, str(wheel)]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_wheel_is_small(wheel: Path) -> None:
    """A wheel has no pictures, weights or data to carry: what is far larger has something in it that is not ours."""
    assert wheel.stat().st_size < WHEEL_BYTES


def test_requirement_files_are_up_to_date() -> None:
    """The requirement files say what pyproject.toml and constraints.txt say."""
    for name, text in tasks.render_requirements(PYPROJECT, CONSTRAINTS).items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} is out of date; run `make requirements`"


@pytest.mark.parametrize("declared", [text for text in DECLARED if not text.startswith("phytoscope")])
def test_pin_satisfies_declared_range(declared: str) -> None:
    """The pinned version of each declared dependency lies in the declared range."""
    requirement = Requirement(declared)
    assert requirement.specifier.contains(tasks.read_pins(CONSTRAINTS)[canonicalize_name(requirement.name)])


def test_constraints_are_exact_sorted_and_free_of_addresses() -> None:
    """Each line of constraints.txt is one exact version, in alphabetical order."""
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.!+]+", line)] == []
    assert lines == sorted(set(lines), key=lambda line: line.split("==")[0])
    assert "://" not in CONSTRAINTS


def test_constraints_leave_gpu_libraries_to_torch() -> None:
    """The report of pip becomes sorted pins without the project itself and without what torch pins."""
    names = {"Zlib_Ng": "2", "torch": "9", "nvidia-cublas": "1", "triton": "3", "phytoscope": "0.1.0"}
    report = {"install": [{"metadata": {"name": name, "version": version}} for name, version in names.items()]}
    pins = tasks.render_constraints(report).removeprefix(tasks.CONSTRAINTS_HEADER)
    assert pins == "torch==9\nzlib-ng==2\n"


def test_unpinned_dependency_is_an_error() -> None:
    """A dependency that nobody pinned stops the writing of the requirement files."""
    with pytest.raises(KeyError, match=r"is declared in pyproject\.toml but not pinned"):
        tasks.render_requirements(PYPROJECT, "")


def test_all_extra_names_every_extra() -> None:
    """The extra `all` installs each of the other extras."""
    extras = PROJECT["optional-dependencies"]
    (requirement,) = map(Requirement, extras["all"])
    assert requirement.extras == set(extras) - {"all"}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("arguments", [[], ["help"]], ids=["default", "help"])
def test_make_lists_every_target(arguments: list[str]) -> None:
    """`make`, with or without `help`, lists each target with what it does."""
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert re.findall(r"^  make ([a-z-]+) +\S", shown, flags=re.MULTILINE) == TARGETS


def test_tasks_are_the_make_targets() -> None:
    """invoke offers each make target under the same name, apart from the help it has of its own."""
    assert set(tasks.namespace.task_names) == set(TARGETS) - {"help"}


def test_old_python_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """Making the environment with an old Python names the version needed and how to give another one."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "--no-print-directory", "-C", str(tmp_path), "demo", f"PYTHON={old}"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 2
    assert "is Python 3.9.2. phytoscope needs Python 3.11 or newer" in found.stderr
    assert "make demo PYTHON=" in found.stderr


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_readme_names_the_first_commands(command: str) -> None:
    """The README tells a newcomer the two commands to start with."""
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("README.md is not written yet")
    assert command in readme.read_text(encoding="utf-8")


def test_changelog_has_a_place_for_the_next_release() -> None:
    """The changelog has a place for what is not released yet."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
