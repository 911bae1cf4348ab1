"""Folders at an address: fetched, worked on here, and published whole."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from phytoscope.errors import ArtifactError, StorageError
from phytoscope.storage import mirror
from phytoscope.storage.lease import Lease
from phytoscope.storage.mirror import (
    INDEX_KEY,
    LEASE_KEY,
    fetch_folder,
    find_address,
    kept_folder,
    publish,
    publish_folder,
    working_folder,
)
from phytoscope.storage.publishing import ObjectFolder, publish_file


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def url() -> str:
    """Address of a folder that nobody has used."""
    return f"memory://mirror-{secrets.token_hex(6)}/run"


def _move(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """From here on this is another machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _read(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_a_path_on_this_computer_is_given_back(tmp_path: Path) -> None:
    """What is no address is worked on where it is."""
    with kept_folder(tmp_path / "run") as folder:
        assert folder == tmp_path / "run"
    assert find_address(tmp_path / "run") is None


def test_another_machine_goes_on_with_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A machine with an empty cache finds all files, with names of their own at the address."""
    with kept_folder(url) as folder:
        (folder / "package").mkdir()
        _write(folder, report="one")
        _write(folder / "package", weights="two")
    assert ObjectFolder(url).read("package/weights") == b"two"
    _move(monkeypatch, tmp_path, "other")
    with kept_folder(url) as folder:
        assert _read(folder) == {"report": "one", "package/weights": "two"}
        _write(folder, report="three")
        (folder / "package" / "weights").unlink()
    assert fetch_folder(url, tmp_path / "third")
    assert _read(tmp_path / "third") == {"report": "three"}
    assert ObjectFolder(url).read("package/weights") is None
    assert ObjectFolder(url).list_files(".phytoscope") == ["index.json"]


def test_a_working_copy_that_is_behind_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The first machine takes over what the second has published, and loses what that one has removed."""
    with kept_folder(url) as folder:
        _write(folder, kept="1", gone="1", changed="1")
    _move(monkeypatch, tmp_path, "other")
    with kept_folder(url) as folder:
        (folder / "gone").unlink()
        _write(folder, changed="2", new="2")
    _move(monkeypatch, tmp_path, "cache")
    with kept_folder(url) as folder:
        assert _read(folder) == {"kept": "1", "changed": "2", "new": "2"}


def test_hidden_files_links_and_locks_stay_here(tmp_path: Path, url: str) -> None:
    """Locks, half-written files and links are not published."""
    with kept_folder(url) as folder:
        _write(folder, answer="1", **{".lock": "", "data.lock": ""})
        (folder / ".spool.partial").mkdir()
        _write(folder / ".spool.partial", part="1")
        (folder / "link").symlink_to(folder / "answer")
    fetch_folder(url, tmp_path / "copy")
    assert _read(tmp_path / "copy") == {"answer": "1"}


def test_what_was_finished_is_published_after_an_error(tmp_path: Path, url: str) -> None:
    """Work that breaks off keeps what it has written, and gives the lease back."""

    def break_off() -> None:
        with kept_folder(url) as folder:
            _write(folder, half="1")
            message = "it broke off"
            raise ValueError(message)

    with pytest.raises(ValueError, match="broke off"):
        break_off()
    fetch_folder(url, tmp_path / "copy")
    assert _read(tmp_path / "copy") == {"half": "1"}
    assert ObjectFolder(url).read(LEASE_KEY) is None


def test_a_second_machine_is_told_that_somebody_works_there(url: str) -> None:
    """While one works, another is refused with its name, and the first is not disturbed."""
    with kept_folder(url) as folder:
        other = Lease(ObjectFolder(url), LEASE_KEY)
        with pytest.raises(ArtifactError, match="another phytoscope process works in"):
            other.acquire()
        _write(folder, mine="1")


@pytest.mark.parametrize(("host", "renewed_at"), [("gone", "2020-01-01T00:00:00+00:00"), ("gone", "never")])
def test_a_lease_of_a_dead_machine_is_taken_over(url: str, host: str, renewed_at: str) -> None:
    """A lease that is old or damaged holds nobody up."""
    content = {"host": host, "pid": 1, "token": "x", "renewed_at": renewed_at}
    ObjectFolder(url).write(LEASE_KEY, json.dumps(content).encode())
    with kept_folder(url) as folder:
        _write(folder, mine="1")
    assert ObjectFolder(url).read("mine") == b"1"


def test_nothing_is_published_after_a_take_over(url: str) -> None:
    """A machine that was thought dead does not overwrite what its successor has written."""

    def be_late() -> None:
        with kept_folder(url) as folder:
            ObjectFolder(url).write(LEASE_KEY, b'{"host": "successor", "token": "y"}')
            _write(folder, late="1")

    with pytest.raises(ArtifactError, match="was taken over by another machine"):
        be_late()
    assert ObjectFolder(url).read(INDEX_KEY) is None


class _Cut:
    """A store that dies after some writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.left = after
        for name in ("write", "copy", "remove"):
            monkeypatch.setattr(ObjectFolder, name, self._wrap(getattr(ObjectFolder, name)))

    def _wrap(self, method: Callable[..., None]) -> Callable[..., None]:
        def work(store: ObjectFolder, key: str, *rest: object) -> None:
            if "lease" not in key:
                if self.left == 0:
                    message = "cut"
                    raise StorageError(message)
                self.left -= 1
            method(store, key, *rest)

        return work


@pytest.mark.parametrize("after", range(11))
def test_a_cut_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, after: int
) -> None:
    """Wherever a publication is cut, others read a whole state, and the next one finishes it."""
    old = {"a": "old a", "b": "old b", "gone": "old"}
    new = {"a": "new a", "b": "new b", "c": "new c"}
    with kept_folder(url) as folder:
        _write(folder, **old)
    with monkeypatch.context() as patched:
        _Cut(patched, after)

        def change() -> None:
            with kept_folder(url) as folder:
                (folder / "gone").unlink()
                _write(folder, **new)

        with pytest.raises(StorageError, match="cut"):
            change()
    fetch_folder(url, tmp_path / "copy")
    assert _read(tmp_path / "copy") in (old, new)
    with kept_folder(url):
        pass
    fetch_folder(url, tmp_path / "copy")
    assert _read(tmp_path / "copy") == new
    assert all(ObjectFolder(url).read(name) == text.encode() for name, text in new.items())
    assert ObjectFolder(url).read("gone") is None
    assert ObjectFolder(url).list_files(".phytoscope/objects") == []


def test_only_what_has_changed_travels(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A second publication sends one file of two."""
    said: list[str] = []
    with kept_folder(url, said.append) as folder:
        _write(folder, one="1", two="2")
        publish(folder)
        _write(folder, two="22")
        publish(folder / "inside")
    assert said == [f"publishing 2 files (0.0 MB) at {url}", f"publishing 1 files (0.0 MB) at {url}"]


def test_a_large_file_is_sent_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Files above the bound of one piece arrive as they are."""
    monkeypatch.setattr(mirror, "_SMALL_BYTES", 4)
    with kept_folder(url) as folder:
        _write(folder, weights="many bytes")
        publish(folder)
        _write(folder, weights="other bytes")
    fetch_folder(url, tmp_path / "copy")
    assert _read(tmp_path / "copy") == {"weights": "other bytes"}


def test_an_emptied_working_copy_is_fetched_again(url: str) -> None:
    """Who clears the cache loses nothing at the address."""
    with kept_folder(url) as folder:
        _write(folder, one="1")
    (working_folder(url) / "one").unlink()
    with kept_folder(url) as folder:
        assert _read(folder) == {"one": "1"}


def test_a_folder_of_this_computer_is_published_as_it_is(tmp_path: Path, url: str) -> None:
    """`publish_folder` needs no working copy."""
    place = tmp_path / "results"
    place.mkdir()
    _write(place, one="1")
    publish_folder(place, url)
    publish_file(place / "one", f"{url}/single.txt")
    assert ObjectFolder(url).read("one") == b"1"
    assert ObjectFolder(url).read("single.txt") == b"1"
    assert [entry.name for entry in place.iterdir()] == ["one"]


def test_an_index_that_leads_out_of_the_folder_is_refused(tmp_path: Path, url: str) -> None:
    """What somebody else has written there cannot write outside of the folder."""
    entry = {"sha256": "0", "size": 1, "key": "x"}
    ObjectFolder(url).write(INDEX_KEY, json.dumps({"format": 1, "files": {"../evil": entry}, "gone": []}).encode())
    with pytest.raises(ArtifactError, match="outside"):
        fetch_folder(url, tmp_path / "copy")


def test_the_address_of_what_lies_in_a_working_folder(url: str) -> None:
    """A folder within a working folder has the address below."""
    assert find_address(working_folder(url)) == url
    assert find_address(working_folder(url) / "pixels" / "key") == f"{url}/pixels/key"
