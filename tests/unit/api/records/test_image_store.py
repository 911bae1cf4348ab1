"""Photographs are kept once, whole, and go when the last answer about them goes."""

import errno
import hashlib
import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from factories.images import write_image
from factories.records import make_prediction
from phytoscope.api.records.image_store import ImageStore
from phytoscope.errors import StorageError


@pytest.fixture
def store(tmp_path):
    return ImageStore(tmp_path / "images")


def make_photo(tmp_path, seed=0):
    content = write_image(tmp_path / f"{seed}.jpg", seed=seed).read_bytes()
    return hashlib.sha256(content).hexdigest(), content


def list_files(store):
    return sorted(path.name for path in store.folder.rglob("*") if path.is_file())


def test_photo_is_kept_under_its_hash(store, tmp_path):
    """One file, named after the file that was sent, and nobody else may look into the folder."""
    name, content = make_photo(tmp_path)
    path = store.keep(name, content)
    assert path == store.folder / name[:2] / f"{name}.jpg" == store.find(name)
    assert Image.open(io.BytesIO(path.read_bytes())).format == "JPEG"
    assert store.folder.stat().st_mode & 0o077 == 0


def test_photo_is_kept_once(store, tmp_path):
    """The same photograph again changes nothing but its time."""
    name, content = make_photo(tmp_path)
    path = store.keep(name, content)
    os.utime(path, (0, 0))
    assert store.keep(name, content) == path
    assert list_files(store) == [f"{name}.jpg"]
    assert path.stat().st_mtime > time.time() - 100


def test_damaged_photo_is_not_kept(store):
    """What cannot be told from its notes is not kept."""
    with pytest.raises(StorageError, match="cannot be told from what the camera noted in it: the content is not an"):
        store.keep("a" * 64, b"GIF89a nonsense")
    assert not store.folder.exists()


def test_place_that_cannot_be_written(store, tmp_path):
    """A file where the folder should be is told."""
    store.folder.write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"):
        store.keep(*make_photo(tmp_path))


def test_deleting_what_is_not_there(store):
    """A photograph that was never kept is no fault."""
    assert store.delete("a" * 64) is False


def test_folder_that_is_full_of_others(store, tmp_path):
    """Only photographs are looked at; what a killed process left half written is removed."""
    name, content = make_photo(tmp_path)
    half = store.keep(name, content).parent / ".half.12345678.tmp.jpg"
    for path in (half, half.parent / "notes.txt"):
        path.write_text("x", encoding="utf-8")
    assert list(store.older_than(3600)) == []
    assert list(store.older_than(0)) == [name]
    assert list_files(store) == [f"{name}.jpg", "notes.txt"]


def test_lost_photographs_are_counted(ledger, tmp_path):
    """An answer is kept even when its photograph cannot be."""
    name, content = make_photo(tmp_path)
    good = make_prediction(1, image=content, image_sha256=name)
    bad = make_prediction(2, image=b"nonsense")
    assert ledger.add_predictions([good, bad, make_prediction(3)]) == (1, 0)
    assert list_files(ledger.images) == [f"{name}.jpg"]


def test_photograph_that_a_deletion_took_is_kept_again(ledger, tmp_path, monkeypatch):
    """A photograph that goes with an older answer, while a newer one is written, is there in the end."""
    name, content = make_photo(tmp_path)
    insert = ledger._insert

    def insert_and_lose(records):
        ledger.images.delete(name)
        return insert(records)

    monkeypatch.setattr(ledger, "_insert", insert_and_lose)
    ledger.add_predictions([make_prediction(1, image=content, image_sha256=name)])
    assert ledger.images.find(name) is not None


def test_photo_that_goes_while_it_is_looked_at_is_passed_over(store, tmp_path):
    """Another process may have deleted it just now."""
    name, content = make_photo(tmp_path)
    path = store.keep(name, content)
    (path.parent / f"{'0' * 64}.jpg").symlink_to(tmp_path / "gone")
    assert list(store.older_than(-100)) == [name]


def test_photo_that_cannot_be_touched_or_deleted_is_a_fault_of_the_place(store, tmp_path, monkeypatch):
    """What stays in spite of a deletion is never passed over in silence."""
    name, content = make_photo(tmp_path)
    store.keep(name, content)

    def refuse(*_words, **_settings):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    with pytest.raises(StorageError, match=name):
        store.keep(name, content)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match=name):
        store.delete(name)
