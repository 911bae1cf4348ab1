"""Versions of registered models, and the texts that name them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from phytoscope.errors import ConfigError

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREFIX: Final = "phytoscope."
MODEL_ID_TAG: Final = f"{PREFIX}model_id"
PACKAGE_TAG: Final = f"{PREFIX}package_hash"
"""Hash of `package.json`, which holds those of all other parts."""
CHAMPIONS_TAG: Final = f"{PREFIX}champions"
"""Of a registered model: who became champion when, the newest first, as JSON."""
ROLLBACK: Final = "rollback"
"""How a version became champion that was it before."""
REFERENCE: Final = "models:/"
_FORM: Final = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[\w.-]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        name: Name of the model.
        version: Its number, from 1.
        run_id: The MLflow run that made it.
        source: Where MLflow keeps its files.
        tags: What we noted.
        aliases: Names that point to it now.
        created_at: When it was registered, seconds since 1970.
    """

    name: str
    version: int
    run_id: str
    source: str
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_at: float = 0.0

    @property
    def reference(self) -> str:
        """The text that names it wherever a package is asked for."""
        return f"{REFERENCE}{self.name}/{self.version}"


@dataclass(frozen=True)
class Reign:
    """A version became champion.

    Attributes:
        version: Which one.
        at: When, ISO 8601, UTC.
        how: `first`, `promoted` or `rollback`.
    """

    version: int
    at: str
    how: str


def parse_reference(text: str) -> tuple[str, str | int]:
    """Name of a model, and its alias or version.

    Args:
        text: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ConfigError: It is neither.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        message = f"{text!r} names no model of a registry: write models:/NAME@{CHAMPION} or models:/NAME/VERSION."
        raise ConfigError(message)
    return found["name"], found["alias"] if found["version"] is None else int(found["version"])


def read_version(version: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    """A version as MLflow's client gives it.

    Args:
        version: MLflow's own object.
        aliases: Aliases of its model -> number of the version.
    """
    number = int(version.version)
    return ModelVersion(
        name=str(version.name),
        version=number,
        run_id=str(version.run_id or ""),
        source=str(version.source),
        tags={str(key): str(value) for key, value in version.tags.items()},
        aliases=tuple(sorted(str(alias) for alias, target in aliases.items() if int(target) == number)),
        created_at=float(version.creation_timestamp) / 1000.0,
    )


def check_name(name: str) -> None:
    """Refuses a name that no reference could name.

    Raises:
        ConfigError: It is empty, or holds a slash, a colon, an at sign or a quotation mark.
    """
    if not name.strip() or any(mark in name for mark in '/:@"'):
        message = f"{name!r} cannot be the name of a model: use letters, digits, spaces, dots, - and _."
        raise ConfigError(message)
