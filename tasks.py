"""Developer tasks for invoke: the make targets under their own names, and the writing of the pinned requirement files.

`invoke --list` shows them. A task that has a make target calls it, so that each command is written down once; only
`constraints` and `requirements` do their work here, because it needs Python.
"""

import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from invoke import Collection, Context, task
from invoke.tasks import Task
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent
PROJECT = "phytoscope"
MADE_BY_MAKE = (
    *("venv", "demo", "test", "test-all", "strangers", "coverage", "fuzz"),
    *("lint", "format", "types", "docs", "precommit", "licences", "build", "sbom", "clean"),
)

CONSTRAINTS_HEADER = """\
# Exact versions of everything that all extras of phytoscope need on Linux with Python 3.11.
# Written by `make constraints`; do not edit by hand.
# The GPU libraries that torch brings along are left out: each release of torch pins its own.
"""
REQUIREMENTS_HEADER = """\
# {what}, as pinned in constraints.txt.
# Written by `make requirements`; do not edit by hand.
"""
_PINNED_BY_TORCH = re.compile(r"^(nvidia-.*|cuda-.*|triton|pytorch-triton)$")


def render_constraints(report: dict[str, list[dict[str, dict[str, str]]]]) -> str:
    """Turn pip's installation report into the text of constraints.txt.

    Args:
        report: What `pip install --report` wrote, read as JSON.

    Returns:
        One `name==version` a line, sorted by name, below the header.
    """
    pins = {canonicalize_name(entry["metadata"]["name"]): entry["metadata"]["version"] for entry in report["install"]}
    lines = [
        f"{name}=={version}\n"
        for name, version in sorted(pins.items())
        if name != PROJECT and not _PINNED_BY_TORCH.match(name)
    ]
    return CONSTRAINTS_HEADER + "".join(lines)


def render_requirements(pyproject: str, constraints: str) -> dict[str, str]:
    """Write the two requirement files from the declared dependencies and the pinned versions.

    Args:
        pyproject: Text of pyproject.toml.
        constraints: Text of constraints.txt.

    Returns:
        Text of each file by its name.

    Raises:
        KeyError: If a declared dependency has no pinned version.
    """
    project = tomllib.loads(pyproject)["project"]
    pins = read_pins(constraints)
    base = _pin(project["dependencies"], pins)
    extras = project["optional-dependencies"]
    dev = _pin(_expand(extras["dev"], extras), pins)
    return {
        "requirements.txt": "".join(
            [REQUIREMENTS_HEADER.format(what="What phytoscope itself needs"), "-c constraints.txt\n", *base]
        ),
        "requirements_dev.txt": "".join(
            [REQUIREMENTS_HEADER.format(what="What developing phytoscope needs"), "-r requirements.txt\n", *dev]
        ),
    }


def read_pins(constraints: str) -> dict[str, str]:
    """Read the pinned version of each package.

    Args:
        constraints: Text of constraints.txt.

    Returns:
        Version by canonical package name.
    """
    lines = (line for line in constraints.splitlines() if line and not line.startswith("#"))
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def _expand(declared: Iterable[str], extras: dict[str, list[str]]) -> Iterator[str]:
    """Replace every reference of the project to its own extras by what these contain."""
    for text in declared:
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == PROJECT:
            for extra in sorted(requirement.extras):
                yield from _expand(extras[extra], extras)
        else:
            yield text


def _pin(declared: Iterable[str], pins: dict[str, str]) -> list[str]:
    """Put the pinned version in the place of each requirement's range, one line each, sorted."""
    lines = set()
    for text in declared:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name not in pins:
            msg = f"{name} is declared in pyproject.toml but not pinned in constraints.txt; run `make constraints`."
            raise KeyError(msg)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        lines.add(f"{name}{extras}=={pins[name]}{marker}\n")
    return sorted(lines)


@task
def requirements(_context: Context) -> None:
    """Rewrite the requirements files from pyproject.toml and constraints.txt."""
    texts = render_requirements((ROOT / "pyproject.toml").read_text(), (ROOT / "constraints.txt").read_text())
    for name, text in texts.items():
        (ROOT / name).write_text(text)


@task(post=[requirements])
def constraints(context: Context) -> None:
    """Resolve all extras anew and rewrite constraints.txt and the requirements files."""
    with tempfile.TemporaryDirectory() as folder, context.cd(str(ROOT)):
        report = Path(folder) / "report.json"
        context.run(
            f'"{sys.executable}" -m pip install --dry-run --ignore-installed --report "{report}" ".[all]"', echo=True
        )
        (ROOT / "constraints.txt").write_text(render_constraints(json.loads(report.read_text())))


def _make_task(target: str) -> Task:
    """Build the task that calls one make target."""

    def call(context: Context) -> None:
        with context.cd(str(ROOT)):
            context.run(f"make {target}", pty=sys.stdout.isatty())

    call.__doc__ = f"The same as `make {target}`."
    return Task(call, name=target)


namespace = Collection(constraints, requirements, *(_make_task(target) for target in MADE_BY_MAKE))
