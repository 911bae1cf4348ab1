"""Checkers of the files under `deploy/`: each gives the faults that it found, in words."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import kubernetes_validate
import ray
import referencing
import yaml

from contract.source_checks import ROOT

DEPLOY = ROOT / "deploy"
SCHEMAS = ROOT / "tests" / "schemas"
KUBERNETES = "1.34"
"""Release of Kubernetes that the files are for."""
_KUBERNETES_ID = "https://kubernetes.io/api/_definitions.json"
_DEFINITIONS = (
    Path(kubernetes_validate.__file__).parent
    / "kubernetes-json-schema"
    / f"v{KUBERNETES}.0-local-strict"
    / "_definitions.json"
)


def read_all(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file."""
    return [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item is not None]


def check_kubernetes(found: dict[str, Any]) -> list[str]:
    """Faults of an object of Kubernetes' own kinds."""
    try:
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    return []


def check_compose(found: dict[str, Any]) -> list[str]:
    """Faults of a Compose file."""
    vendored = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    return _check(json.loads(vendored.read_text(encoding="utf-8")), found)


def check_ray_up(found: dict[str, Any]) -> list[str]:
    """Faults of a file for `ray up`."""
    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    return _check(json.loads(path.read_text(encoding="utf-8")), found)


def check_ours(name: str, found: dict[str, Any]) -> list[str]:
    """Faults of an object by one of the descriptions under `tests/schemas`."""
    text = (SCHEMAS / name).read_text(encoding="utf-8")
    return _check(yaml.safe_load(text.replace('"kubernetes:', f'"{_KUBERNETES_ID}#/$defs/')), found)


def walk(found: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries in a structure."""
    if isinstance(found, dict):
        yield found
        for value in found.values():
            yield from walk(value)
    elif isinstance(found, list):
        for value in found:
            yield from walk(value)


def _check(schema: dict[str, Any], found: dict[str, Any]) -> list[str]:
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
    faults = kind(schema, registry=_registry()).iter_errors(found)
    return [f"{error.json_path}: {best.message}" for error in faults for best in (error, *(error.context or ()))]


@functools.cache
def _registry() -> referencing.Registry:
    definitions = referencing.Resource.from_contents(json.loads(_DEFINITIONS.read_text(encoding="utf-8")))
    return definitions @ referencing.Registry()
