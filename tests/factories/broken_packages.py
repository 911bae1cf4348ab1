"""Packages that were damaged or made to do harm: parts are changed at random, and signed again as an attacker would."""

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from phytoscope.schema.package_format import hash_description

Draw = Callable[[int], int]
"""Gives a whole number from 0 to below its argument."""

_DESCRIPTION = "package.json"
_DEEP: Any = json.loads("[" * 200 + "]" * 200)
_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    1,
    -1,
    3.5,
    1 << 31,
    10**30,
    1e308,
    -1e-308,
    float("nan"),
    float("inf"),
    "",
    "x" * 300,
    "../../etc/passwd",
    "\ud800",
    "0",
    [],
    {},
    [[]],
    [None, {}],
    {"": 0},
    {"kind": "knn", "name": "x"},
    _DEEP,
    "classification",
    "regression",
    "knn",
    "energy",
    "mahalanobis",
    "temperature",
    "raps",
    "test_vit",
    "vit_giant_patch14_224",
    "hf-hub:timm/resnet18",
    "local-dir:/",
)


def read_parts(folder: Path) -> dict[str, bytes]:
    """All files of a package: name -> bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def break_parts(parts: dict[str, bytes], draw: Draw) -> dict[str, bytes]:
    """Changes one to three things in a package; in most cases all hashes are made to fit again."""
    broken = dict(parts)
    for _ in range(1 + draw(3)):
        _WAYS[draw(len(_WAYS))](broken, draw)
    if draw(8) > 0:
        sign_parts(broken)
    return broken


def sign_parts(parts: dict[str, bytes]) -> None:
    """Makes all hashes fit, where `package.json` is still a table with hashes."""
    try:
        content = json.loads(parts.get(_DESCRIPTION, b""))
        for name in content["sha256"]:
            if name in parts:
                content["sha256"][name] = hashlib.sha256(parts[name]).hexdigest()
        content["content_sha256"] = hash_description(content)
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    parts[_DESCRIPTION] = json.dumps(content).encode("utf-8", "surrogatepass")


def zip_parts(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The bytes of an archive of them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name or "_"), content, compress_type=compression)
    return stream.getvalue()


def break_json(value: Any, draw: Draw) -> Any:
    """Changes one place of a JSON value: another value, one entry less, or one many times."""
    if not isinstance(value, dict | list) or not value or draw(6) == 0:
        return _ODD[draw(len(_ODD))]
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[draw(len(keys))]
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    way = draw(8)
    if way == 0:
        del changed[key]
    elif way == 1 and isinstance(changed, list):
        changed += [changed[key]] * (1 + draw(300))
    elif way == 1:
        changed[_ODD[12 + draw(5)]] = changed[key]
    elif way == 2:
        changed[key] = value[keys[draw(len(keys))]]
    else:
        changed[key] = break_json(value[key], draw)
    return changed


def _break_table(parts: dict[str, bytes], draw: Draw) -> None:
    names = [name for name in sorted(parts) if name.endswith(".json")]
    if names:
        name = names[draw(len(names))]
        try:
            content = json.loads(parts[name])
        except (ValueError, RecursionError):
            return
        parts[name] = json.dumps(break_json(content, draw)).encode("utf-8", "surrogatepass")


def _break_tensors(parts: dict[str, bytes], draw: Draw) -> None:
    names = [name for name in sorted(parts) if name.endswith(".safetensors")]
    if names:
        name = names[draw(len(names))]
        content = parts[name]
        try:
            size = struct.unpack("<Q", content[:8])[0]
            header = json.loads(content[8 : 8 + size])
        except (ValueError, struct.error, RecursionError):
            return
        changed = json.dumps(break_json(header, draw)).encode("utf-8", "surrogatepass")
        length = len(changed) if draw(4) > 0 else [0, 1, len(changed) + 1, 1 << 62][draw(4)]
        parts[name] = struct.pack("<Q", length) + changed + content[8 + size :]


def _cut(parts: dict[str, bytes], draw: Draw) -> None:
    name = _pick(parts, draw)
    parts[name] = parts[name][: draw(len(parts[name]) + 1)]


def _flip(parts: dict[str, bytes], draw: Draw) -> None:
    name = _pick(parts, draw)
    content = bytearray(parts[name])
    # What stands first in a file decides how the rest is read.
    reach = min(len(content), 2000) if draw(2) else len(content)
    for _ in range(1 + draw(8)):
        if reach:
            content[draw(reach)] ^= 1 << draw(8)
    parts[name] = bytes(content)


def _remove(parts: dict[str, bytes], draw: Draw) -> None:
    del parts[_pick(parts, draw)]
    if not parts:
        parts[_DESCRIPTION] = b""


def _swap(parts: dict[str, bytes], draw: Draw) -> None:
    parts[_pick(parts, draw)] = parts[_pick(parts, draw)]


def _pick(parts: dict[str, bytes], draw: Draw) -> str:
    return sorted(parts)[draw(len(parts))]


# Tables stand there more than once, because most of what decides anything stands in them.
_WAYS = (_break_table, _break_table, _break_table, _break_tensors, _cut, _flip, _remove, _swap)
