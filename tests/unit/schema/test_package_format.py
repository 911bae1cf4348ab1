"""`package.json` of every format is read, and what is damaged or too new is named."""

import json

import pytest

from phytoscope.errors import PackageError
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.package_format import PACKAGE_FORMAT, check_content, write_content

MODEL = {"model_id": "0123456789abcdef", "licence": "CC0"}
PARTS = {"model.safetensors": "0" * 64}


def encode(content) -> bytes:
    """As it stands in the file."""
    return json.dumps(content).encode()


def test_there_and_back() -> None:
    """What is written is read, and says that it is of today's format."""
    content = write_content(MODEL, PARTS, {"int8": {"parts": []}})
    assert check_content(encode(content), "x") == (content, PACKAGE_FORMAT)


def test_format_1_is_brought_up_to_date() -> None:
    """It has no variants, and its own hash is checked before it is trusted."""
    old = {"format": 1, "model": MODEL, "model_sha256": hash_content(MODEL), "sha256": PARTS}
    assert check_content(encode(old), "x") == (write_content(MODEL, PARTS, {}), 1)
    with pytest.raises(PackageError, match="is not what it was"):
        check_content(encode(old | {"model_sha256": "0" * 64}), "x")
    with pytest.raises(PackageError, match="is not complete"):
        check_content(encode({"format": 1, "model": MODEL}), "x")


@pytest.mark.parametrize("key", ["model", "sha256", "variants"])
def test_every_entry_is_covered_by_the_hash(key) -> None:
    """A changed licence, hash or variant is found, whichever it is."""
    content = write_content(MODEL, PARTS, {})
    changed = content | {key: content[key] | {"licence": "0" * 64}}
    with pytest.raises(PackageError, match="is not what it was"):
        check_content(encode(changed), "x")


def test_newer_format() -> None:
    """A package of a newer version says what to do."""
    with pytest.raises(PackageError, match=r"format 3, made by a newer phytoscope; .*: upgrade phytoscope"):
        check_content(encode({"format": 3}), "x")


def test_hash_that_is_none() -> None:
    """What cannot be compared is damage."""
    with pytest.raises(PackageError, match=r"'model\.safetensors' has no hash of 64 digits"):
        check_content(encode(write_content(MODEL, {"model.safetensors": "abc"}, {})), "x")


def test_nested_too_deeply() -> None:
    """A table in a table a hundred thousand times."""
    with pytest.raises(PackageError, match="nested too deeply"):
        check_content(b"[" * 100_000 + b"]" * 100_000, "x")
