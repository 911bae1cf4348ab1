"""Versions of libraries beside those that are asked for, and what each extra would add. Nothing of them is imported."""

import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final

from phytoscope.cli.doctor_report import Check, Health

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OLDEST: Final = (3, 11)
_SHOWN = ("torch", "torchvision", "timm", "lightning")
_MALICIOUS: Final = {"lightning": ("2.6.2", "2.6.3")}
"""Releases that were not made by their authors and stole credentials when they were imported."""
_GIVES: Final = {
    "weights": "pre-trained weights of one network without a network connection",
    "export": "ONNX files",
    "fast": "OpenVINO, the fastest answers on a processor",
    "int8": "networks in 8-bit numbers",
    "serve": "the HTTP service and its web page",
    "explain": "heat maps of what an answer rests on",
    "sweep": "the search for better settings",
    "track": "MLflow: runs and registered models",
    "wandb": "Weights & Biases",
    "pipeline": "Dagster: from data to a promoted model, again and again",
    "distributed": "Ray: the same commands on many machines",
    "remote": "addresses of stores",
    "s3": "s3:// addresses",
    "gcs": "gs:// addresses",
    "azure": "az:// addresses",
    "postgres": "the service's records in PostgreSQL",
    "kubernetes": "the pipeline on Kubernetes",
}


@dataclass(frozen=True)
class Installed:
    """What an extra asks for, and what of it is not there.

    Attributes:
        lacking: Requirements that nothing installed satisfies, as text.
    """

    lacking: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return not self.lacking


def check_python() -> Check:
    """Whether Python is new enough."""
    version = platform.python_version()
    found = f"{version} ({sys.executable})"
    facts = {"version": version, "executable": sys.executable, "system": platform.platform()}
    if sys.version_info < _OLDEST:
        remedy = "phytoscope needs Python 3.11 or newer: make an environment with one and install it there."
        return Check("Python", Health.fault, found, remedy, facts)
    return Check("Python", Health.ok, f"{found}, {platform.system()} {platform.machine()}", facts=facts)


def check_libraries() -> Check:
    """Whether every library of the base installation is there in a version that fits, and fits the others."""
    asked = _read_requirements("phytoscope", None)
    if asked is None:
        remedy = "install it: pip install phytoscope, or `pip install -e .` in a checkout."
        return Check("Libraries", Health.note, "phytoscope runs from a folder and is not installed", remedy)
    faults = [fault for requirement in asked if (fault := _fault(requirement)) is not None]
    names = {_plain(requirement.name) for requirement in asked}
    faults += [
        f"{name} {_find_version(name)} asks for {requirement}, installed is {_find_version(requirement.name)}"
        for name in sorted(names)
        for requirement in _read_requirements(name, None) or []
        if _plain(requirement.name) in names and not _is_met(requirement)
    ]
    versions = {name: _find_version(name) for name in sorted(names)}
    bad = [f"{name}=={versions[name]}" for name, releases in _MALICIOUS.items() if versions.get(name) in releases]
    if bad:
        found = f"{' and '.join(bad)} was made by thieves: it steals credentials when it is imported"
        remedy = "pip uninstall it now, change the passwords and keys on this computer, then pip install -U lightning."
        return Check("Libraries", Health.fault, found, remedy, versions)
    if faults:
        remedy = "pip install -U phytoscope brings what is missing or too old; constraints.txt names versions that fit."
        return Check("Libraries", Health.fault, "; ".join(faults), remedy, versions)
    shown = ", ".join(f"{name} {versions[name]}" for name in _SHOWN if versions.get(name))
    return Check("Libraries", Health.ok, f"all {len(names)} fit: {shown}", facts=versions)


def check_extras() -> Check:
    """Which extras are installed, and what the others would give."""
    extras = {name: _look_for(name) for name in _GIVES}
    known = {name: found for name, found in extras.items() if found is not None}
    present = [name for name, found in known.items() if found.is_whole]
    absent = [name for name, found in known.items() if not found.is_whole]
    facts = {
        name: {"installed": found.is_whole, "lacking": list(found.lacking), "gives": _GIVES[name]}
        for name, found in known.items()
    }
    found = f"installed: {', '.join(present) or 'none'}"
    if not absent:
        return Check("Extras", Health.ok, found, facts=facts)
    lines = "; ".join(f"{name} ({_GIVES[name]})" for name in absent)
    remedy = f'none of them is needed to train and predict. To add some: pip install "phytoscope[{absent[0]}]".'
    return Check("Extras", Health.ok, f"{found}; not installed: {lines}", remedy, facts)


def _look_for(extra: str) -> Installed | None:
    asked = _read_requirements("phytoscope", extra)
    if not asked:
        return None
    # An extra may consist of others: their parts are asked for one by one.
    parts = [requirement for requirement in asked if requirement.name != "phytoscope"]
    inner = [name for requirement in asked if requirement.name == "phytoscope" for name in sorted(requirement.extras)]
    lacking = [str(requirement) for requirement in parts if not _is_met(requirement)]
    for name in inner:
        lacking += (_look_for(name) or Installed(())).lacking
    return Installed(tuple(dict.fromkeys(lacking)))


def _fault(requirement: "Requirement") -> str | None:
    if _is_met(requirement):
        return None
    version = _find_version(requirement.name)
    if version is None:
        return f"{requirement.name} is missing"
    return f"{requirement.name} {version} is installed, {requirement.specifier} is asked for"


def _is_met(requirement: "Requirement") -> bool:
    version = _find_version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _find_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _read_requirements(name: str, extra: str | None) -> "list[Requirement] | None":
    """What a distribution asks for on this computer: without extras, or only what an extra adds."""
    from packaging.requirements import Requirement

    try:
        texts = metadata.requires(name)
    except metadata.PackageNotFoundError:
        return None
    found = []
    for requirement in map(Requirement, texts or []):
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if (always and extra is None) or (
            extra is not None and not always and marker is not None and marker.evaluate({"extra": extra})
        ):
            found.append(requirement)
    return found
