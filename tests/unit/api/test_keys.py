"""API keys: only hashes are kept."""

import errno
import json
import stat
from pathlib import Path

import pytest

from phytoscope.api.keys import KeyRing, add_key, read_keys, remove_key
from phytoscope.api.security import find_key
from phytoscope.errors import ConfigError, StorageError


def test_key_is_shown_once_and_kept_as_hash(tmp_path):
    """The file holds no key and is readable for its owner alone."""
    path = tmp_path / "keys" / "keys.json"
    key = add_key(path, "lab")
    assert key not in path.read_text(encoding="utf-8")
    assert len(key) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in read_keys(path)] == ["lab"]
    ring = KeyRing(path)
    assert ring.allows(key)
    assert not any(ring.allows(other) for other in ("", key[:-1], key + "a", read_keys(path)[0].sha256, "\udcff"))


def test_names_are_checked(tmp_path):
    """A name is taken once, is plain, and must be there to be removed."""
    path = tmp_path / "keys.json"
    add_key(path, "lab")
    with pytest.raises(ConfigError, match="already"):
        add_key(path, "lab")
    with pytest.raises(ConfigError, match="no name of a key"):
        add_key(path, "a b")
    with pytest.raises(ConfigError, match="did you mean 'lab'"):
        remove_key(path, "lap")
    remove_key(path, "lab")
    assert read_keys(path) == []


@pytest.mark.parametrize(
    "content", ["", "[]", '{"keys": [{"name": 1}]}', '{"keys": [{"name": 1, "sha256": 2, "created_at": 3}]}']
)
def test_damaged_file_is_refused_and_lets_nobody_in(tmp_path, content, monkeypatch):
    """At the start with words; while running every key is refused until it is whole again."""
    path = tmp_path / "keys.json"
    key = add_key(path, "lab")
    ring, whole = KeyRing(path), path.read_text(encoding="utf-8")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="serve-keys add"):
        KeyRing(path)
    monkeypatch.setattr("phytoscope.api.keys._LOOK_SECONDS", 0.0)
    assert not ring.allows(key)
    path.unlink()
    assert not ring.allows(key)
    path.write_text(whole, encoding="utf-8")
    assert ring.allows(key)
    assert json.loads(whole)["keys"][0]["name"] == "lab"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], ""),
        ([(b"authorization", b"Bearer abc ")], "abc"),
        ([(b"authorization", b"bearer abc")], "abc"),
        ([(b"authorization", b"Basic abc")], ""),
        ([(b"x-api-key", b"abc")], "abc"),
    ],
)
def test_key_is_found_in_two_headers(headers, key):
    """And nowhere else."""
    assert find_key(headers) == key


def test_place_that_cannot_be_written_is_named(tmp_path):
    """A key that could not be kept is not shown as one that is."""
    (tmp_path / "keys").write_text("a file", encoding="utf-8")
    with pytest.raises((StorageError, ConfigError), match="keys"):
        add_key(tmp_path / "keys" / "keys.json", "lab")
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "keys.json"
    add_key(path, "lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "chmod", _refuse)
        with pytest.raises(StorageError, match=r"cannot write .*keys\.json"):
            add_key(path, "other")


def _refuse(*_words):
    raise PermissionError(errno.EACCES, "Permission denied")
