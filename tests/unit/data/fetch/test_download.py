"""Fetching one file from a real server on loopback: resumed, confirmed, or refused with a reason."""

import base64
import hashlib
import threading

import numpy as np
import pytest

from factories.servers import Served, serve_files
from phytoscope.data.fetch import download
from phytoscope.data.fetch.download import download_file
from phytoscope.errors import DownloadError, StorageError
from phytoscope.schema.progress import SilentProgress

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()  # noqa: S324 (what such servers send)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    """Waiting between tries is for the network, not for tests."""
    monkeypatch.setattr(download, "_FIRST_PAUSE_S", 0.0)


def fetch(server, target, path="/set.zip", **options):
    """Fetches one file of the server."""
    return download_file(server.address + path, target, progress=SilentProgress(), **options)


def test_whole_file(tmp_path) -> None:
    """All bytes arrive, with their hash, and nothing that shows is left beside them."""
    with serve_files({"/set.zip": Served(CONTENT)}) as server:
        got = fetch(server, tmp_path / "deep" / "set.zip")
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.size_bytes, got.confirmed_by) == (SHA256, len(CONTENT), "size only")
    assert [entry.name for entry in got.path.parent.iterdir() if not entry.name.startswith(".")] == ["set.zip"]


def test_broken_connection_goes_on(tmp_path) -> None:
    """What has arrived is not asked for again, however often the connection breaks."""
    with serve_files({"/set.zip": Served(CONTENT, breaks=[300_000, 200_000])}) as server:
        got = fetch(server, tmp_path / "set.zip", sha256=SHA256.upper())
        asked = server.ranges_asked()
    assert got.path.read_bytes() == CONTENT
    assert asked[0] == ""
    starts = [int(text.removeprefix("bytes=").rstrip("-")) for text in asked[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0


def test_later_call_goes_on(tmp_path) -> None:
    """A download that was given up continues in the next call."""
    target = tmp_path / "set.zip"
    with serve_files({"/set.zip": Served(CONTENT, breaks=[400_000, 0, 0, 0, 0])}) as server:
        with pytest.raises(DownloadError, match="the same command goes on from there"):
            fetch(server, target)
        assert not target.exists()
        assert fetch(server, target).path.read_bytes() == CONTENT
        assert server.ranges_asked()[-1] != ""


def test_changed_file_is_fetched_anew(tmp_path) -> None:
    """Two halves of different versions are never put together."""
    target = tmp_path / "set.zip"
    newer = CONTENT[::-1]
    with serve_files({"/set.zip": Served(CONTENT, breaks=[400_000, 0, 0, 0, 0])}) as server:
        with pytest.raises(DownloadError):
            fetch(server, target)
        server.files["/set.zip"] = Served(newer)
        assert fetch(server, target).path.read_bytes() == newer


def test_server_without_ranges(tmp_path) -> None:
    """A server that cannot resume sends everything again, and the result is whole."""
    with serve_files({"/set.zip": Served(CONTENT, breaks=[300_000], ranges=False)}) as server:
        assert fetch(server, tmp_path / "set.zip").path.read_bytes() == CONTENT


def test_busy_server_is_asked_again(tmp_path) -> None:
    """503 and 429 mean later, not no."""
    with serve_files({"/set.zip": Served(CONTENT, statuses=[503, 429])}) as server:
        assert fetch(server, tmp_path / "set.zip").sha256 == SHA256


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"X-Linked-ETag": f'"{SHA256}"'}, "X-Linked-ETag"),
        ({"x-goog-hash": f"crc32c=AAAAAA==,md5={MD5}"}, "x-goog-hash"),
        ({"Content-MD5": MD5}, "Content-MD5"),
        ({"Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"}, "Repr-Digest"),
    ],
)
def test_checksum_of_the_server(tmp_path, headers, name) -> None:
    """A checksum that the server sends is compared; a wrong one refuses the file."""
    with serve_files({"/set.zip": Served(CONTENT, headers), "/bad.zip": Served(b"x" + CONTENT[1:], headers)}) as server:
        assert fetch(server, tmp_path / "set.zip").confirmed_by == name
        with pytest.raises(DownloadError, match=f"not what was promised \\({name}"):
            fetch(server, tmp_path / "bad.zip", "/bad.zip")
    assert not list(tmp_path.glob("bad.zip*"))


def test_wrong_checksum_given(tmp_path) -> None:
    """A file that is not the one the user named is removed, and both sums are shown."""
    with serve_files({"/set.zip": Served(CONTENT)}) as server:
        with pytest.raises(DownloadError, match=f"sha256 given: {'0' * 64}, received: {SHA256}"):
            fetch(server, tmp_path / "set.zip", sha256="0" * 64)
        with pytest.raises(DownloadError, match="expected 64 hexadecimal digits"):
            fetch(server, tmp_path / "set.zip", sha256="abc")


def test_file_that_is_there_is_not_fetched(tmp_path) -> None:
    """With a checksum given, a matching file needs no network."""
    (tmp_path / "set.zip").write_bytes(CONTENT)
    with serve_files({}) as server:
        assert fetch(server, tmp_path / "set.zip", sha256=SHA256).sha256 == SHA256
        assert server.requests == []


@pytest.mark.parametrize(
    ("served", "match"),
    [
        (Served(b"", statuses=[404] * 9), "404 .*moved or the name mistyped"),
        (Served(b"", statuses=[401] * 9), "401 .*wants credentials"),
        (Served(b"", wants="Basic x"), "403 .*are the credentials right"),
        (Served(b"<html>", {"Content-Type": "text/html; charset=utf-8"}), "web page instead of a file"),
        (Served(b"", statuses=[500] * 9), "the server answers 500"),
    ],
)
def test_refusals(tmp_path, served, match) -> None:
    """Each refusal says what it means; the key in a signed address is not shown."""
    with serve_files({"/set.zip": served}) as server, pytest.raises(DownloadError, match=match) as error:
        fetch(server, tmp_path / "set.zip", "/set.zip?signature=secret")
    assert "secret" not in str(error.value)


def test_credentials_do_not_reach_another_host(tmp_path) -> None:
    """A redirect to a store of files elsewhere does not get the password."""
    with serve_files({"/set.zip": Served(CONTENT)}) as store:
        elsewhere = store.address.replace("127.0.0.1", "localhost") + "/set.zip"
        with serve_files({"/set.zip": Served(b"", redirect=elsewhere)}) as hub:
            fetch(hub, tmp_path / "set.zip", headers={"Authorization": "Basic c2VjcmV0"})
        assert hub.requests[0][2]["Authorization"] == "Basic c2VjcmV0"
        assert all("Authorization" not in headers for _, _, headers in store.requests)


def test_nobody_answers(tmp_path) -> None:
    """No server: one message, no traceback of the library."""
    with serve_files({}) as server:
        address = server.address
    with pytest.raises(DownloadError, match="could not be fetched"):
        download_file(f"{address}/set.zip", tmp_path / "set.zip", progress=SilentProgress())


def test_errors_and_records_keep_secrets(tmp_path) -> None:
    """Neither messages nor files beside the download hold the key of a signed address."""
    with serve_files({"/set.zip": Served(CONTENT, breaks=[300_000, 0, 0, 0, 0])}) as server:
        with pytest.raises(DownloadError) as error:
            fetch(server, tmp_path / "set.zip", "/set.zip?X-Sig=secret")
        address = server.address
    with pytest.raises(DownloadError) as nobody:
        download_file(f"{address}/set.zip?X-Sig=secret", tmp_path / "set.zip", progress=SilentProgress())
    texts = [str(error.value), str(nobody.value)]
    texts += [path.read_text(errors="replace") for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert all("secret" not in text for text in texts)


@pytest.mark.parametrize("value", ["not base64!", "md5=???"])
def test_checksum_that_is_none(tmp_path, value) -> None:
    """A header that cannot be read confirms nothing and breaks nothing."""
    with serve_files({"/set.zip": Served(CONTENT, {"Content-MD5": value, "x-goog-hash": value})}) as server:
        assert fetch(server, tmp_path / "set.zip").confirmed_by == "size only"


def test_other_schemes_are_refused(tmp_path) -> None:
    """A local file is not read by way of an address."""
    with pytest.raises(DownloadError, match="must start with http"):
        download_file("file:///etc/passwd", tmp_path / "x", progress=SilentProgress())


def test_place_that_cannot_be_written(tmp_path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").touch()
    with serve_files({"/set.zip": Served(CONTENT)}) as server, pytest.raises(StorageError, match="cannot write"):
        fetch(server, tmp_path / "file" / "set.zip")


def test_two_at_once(tmp_path) -> None:
    """Two downloads of the same file do not write into each other."""
    with serve_files({"/set.zip": Served(CONTENT, breaks=[100_000, 200_000])}) as server:
        threads = [threading.Thread(target=fetch, args=(server, tmp_path / "set.zip")) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (tmp_path / "set.zip").read_bytes() == CONTENT
