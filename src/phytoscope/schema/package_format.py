"""The formats of `package.json`: what is written today, and how what was written before is read."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from phytoscope.errors import PackageError
from phytoscope.schema.artifact import hash_content

PACKAGE_FORMAT: Final = 2
_PLAIN_NAME: Final = re.compile(r"\w[\w.-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES: Final = 16 << 20
_HASHED: Final = ("model", "sha256", "variants")


def write_content(model: dict[str, Any], sha256: dict[str, str], variants: dict[str, Any]) -> dict[str, Any]:
    """What `package.json` says, in the newest format.

    Args:
        model: Fields of a `ModelDescription`.
        sha256: Name of each part -> SHA-256 of its bytes.
        variants: Name of each further way to compute the network -> what is to be known of it.
    """
    content = {"format": PACKAGE_FORMAT, "model": model, "sha256": sha256, "variants": variants}
    return {**content, "content_sha256": hash_description(content)}


def hash_description(content: dict[str, Any]) -> str:
    """SHA-256 of all that `package.json` says, but for the format and this hash itself."""
    return hash_content({name: content[name] for name in _HASHED})


def check_content(text: bytes, path: str) -> tuple[dict[str, Any], int]:
    """Reads `package.json` of any format up to today's, and brings it to today's.

    Args:
        text: The bytes of the file.
        path: The package, for errors.

    Returns:
        `format`, `model`, `sha256`, `variants` and `content_sha256`; and the format in which it was written.

    Raises:
        PackageError: It is damaged, or of another format.
    """
    try:
        content = _parse(text, path)
        written = content["format"]
        while content["format"] < PACKAGE_FORMAT:
            content = _UPGRADES[content["format"]](content, path)
        return _check_2(content, path), written
    except RecursionError as error:
        message = f"the package {path!r} is damaged: package.json is nested too deeply; copy the package again."
        raise PackageError(message) from error


def _parse(text: bytes, path: str) -> dict[str, Any]:
    if len(text) > _MOST_BYTES:
        message = f"the package {path!r} is damaged: package.json has more than {_MOST_BYTES >> 20} MB."
        raise PackageError(message)
    try:
        content = json.loads(text.decode("utf-8"))
    except ValueError as error:
        message = f"the package {path!r} is damaged: package.json is no JSON ({error}); copy the package again."
        raise PackageError(message) from error
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is int and found > PACKAGE_FORMAT:
        message = (
            f"the package {path!r} has format {found}, made by a newer phytoscope; this version reads formats 1 to "
            f"{PACKAGE_FORMAT}: upgrade phytoscope (pip install --upgrade phytoscope)."
        )
        raise PackageError(message)
    if type(found) is not int or found < 1:
        message = f"the package {path!r} has format {found!r}; this version reads formats 1 to {PACKAGE_FORMAT}."
        raise PackageError(message)
    return dict(content)


def _upgrade_1(content: dict[str, Any], path: str) -> dict[str, Any]:
    """Format 1 had no variants, and a hash of the model alone."""
    _check_kinds(content, path, ("model", "sha256"))
    if content.get("model_sha256") != hash_content(content["model"]):
        raise _changed(path)
    return {**write_content(content["model"], content["sha256"], {}), "format": 2}


_UPGRADES: Final[dict[int, Callable[[dict[str, Any], str], dict[str, Any]]]] = {1: _upgrade_1}
"""Format -> what makes the next one of it. None is ever removed: packages lie in archives for years."""


def _check_2(content: dict[str, Any], path: str) -> dict[str, Any]:
    _check_kinds(content, path, _HASHED)
    model_id = content["model"].get("model_id")
    # Folders are named after it.
    if not isinstance(model_id, str) or not _PLAIN_NAME.fullmatch(model_id):
        message = (
            f"the package {path!r} calls its model {model_id!r}, which is no plain name: do not use it; get the "
            "package from a source you trust."
        )
        raise PackageError(message)
    for name, digest in content["sha256"].items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            message = f"the package {path!r} is damaged: {name!r} has no hash of 64 digits; copy the package again."
            raise PackageError(message)
    # Class names in another order would answer wrongly without any other sign.
    if content.get("content_sha256") != hash_description(content):
        raise _changed(path)
    return content


def _check_kinds(content: dict[str, Any], path: str, names: tuple[str, ...]) -> None:
    if any(not isinstance(content.get(name), dict) for name in names):
        message = f"the package {path!r} is damaged: package.json is not complete; copy the package again."
        raise PackageError(message)


def _changed(path: str) -> PackageError:
    return PackageError(f"package.json of the package {path!r} is not what it was: copy the package again.")
