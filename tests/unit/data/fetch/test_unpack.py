"""Archives from the network: unpacked whole, and nowhere else than into the folder."""

import io
import random
import stat
import tarfile
import zipfile

import pytest

from phytoscope.data.fetch import unpack as unpack_module
from phytoscope.data.fetch.unpack import unpack_archive
from phytoscope.errors import DownloadError, StorageError
from phytoscope.schema.progress import SilentProgress

FILES = {"set-main/train/rust/a b.jpg": b"1", "set-main/train/healthy/ü.jpg": b"22", "set-main/README.md": b"read"}


def write_zip(path, files) -> None:
    """A zip archive; a name given as ZipInfo keeps its attributes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in files.items():
            book.writestr(name, content)


def write_tar(path, files) -> None:
    """A compressed tar archive."""
    with tarfile.open(path, "w:gz") as book:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            book.addfile(info, io.BytesIO(content))


def unpack(path, folder, **options):
    """Unpacks into a new folder."""
    folder.mkdir()
    return unpack_archive(path, folder, progress=SilentProgress(), **options)


def tree(folder):
    """Relative names and contents of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_all_files(tmp_path, write) -> None:
    """Every file arrives under its name, whatever the archive is called."""
    write(tmp_path / "download", FILES)
    assert unpack(tmp_path / "download", tmp_path / "set") == 3
    assert tree(tmp_path / "set") == FILES


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_only_what_is_wanted(tmp_path, write) -> None:
    """Files can be left out and renamed."""
    write(tmp_path / "a.bin", FILES)

    def place(name):
        return name.removeprefix("set-main/train/") if "/train/" in name else None

    assert unpack(tmp_path / "a.bin", tmp_path / "set", place=place) == 2
    assert set(tree(tmp_path / "set")) == {"rust/a b.jpg", "healthy/ü.jpg"}


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize("name", ["../outside.jpg", "a/../../outside.jpg", "/deep/outside.jpg", "C:/outside.jpg", "."])
def test_nothing_leaves_the_folder(tmp_path, write, name) -> None:
    """A name that leads out of the folder is refused."""
    write(tmp_path / "a.bin", {name: b"x"})
    if write is write_zip and name.startswith("/"):
        # Python's writer takes the slash away; a hostile one does not.
        content = (tmp_path / "a.bin").read_bytes().replace(b"deep/outside.jpg", b"/eep/outside.jpg")
        (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(DownloadError, match="outside of the folder"):
        unpack(tmp_path / "a.bin", tmp_path / "set")
    assert tree(tmp_path / "set") == {}


def test_links_are_left_out(tmp_path) -> None:
    """A link in an archive could make a later file land elsewhere."""
    link = zipfile.ZipInfo("set/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    write_zip(tmp_path / "a.zip", {link: "/etc", "set/a.jpg": b"1"})
    assert unpack(tmp_path / "a.zip", tmp_path / "zip") == 1
    with tarfile.open(tmp_path / "a.tar", "w") as book:
        info = tarfile.TarInfo("set/link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        book.addfile(info)
    assert unpack(tmp_path / "a.tar", tmp_path / "tar") == 0


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut off", b"<!DOCTYPE html><html>"])
def test_no_archive(tmp_path, content) -> None:
    """What is not an archive is named, with what to do."""
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match=r"neither a zip nor a tar archive.*fetch it again"):
        unpack(tmp_path / "a.zip", tmp_path / "set")


def test_damaged_member(tmp_path) -> None:
    """A flipped byte inside is noticed by the archive's own checksum."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as book:
        book.writestr("a.jpg", b"0123456789" * 100)
    content = (tmp_path / "a.zip").read_bytes().replace(b"5678901234", b"5678X01234", 1)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "set")


@pytest.mark.parametrize("suffix", ["", "gz", "bz2", "xz"])
def test_damaged_tar(tmp_path, suffix) -> None:
    """A tar archive with zeros in the middle is not taken for a shorter one, and a whole one passes."""
    path = tmp_path / "a.tar"
    content = random.Random(0).randbytes(3000)
    with tarfile.open(path, f"w:{suffix}" if suffix else "w") as book:
        for number in range(6):
            info = tarfile.TarInfo(f"rust/{number}.jpg")
            info.size = len(content)
            book.addfile(info, io.BytesIO(content))
    assert unpack(path, tmp_path / "whole") == 6
    whole = path.read_bytes()
    # Where a header of the plain archive lies; anywhere in a compressed one.
    middle = 3 * (512 + 3072) if not suffix else len(whole) // 2
    for name, damaged in (("zeros", whole[:middle] + bytes(600) + whole[middle + 600 :]), ("cut", whole[:middle])):
        path.write_bytes(damaged)
        with pytest.raises(DownloadError, match="cannot be unpacked"):
            unpack(path, tmp_path / name)


def test_archive_that_grows_beyond_reason(tmp_path, monkeypatch) -> None:
    """A small archive that would fill the disk is refused before it is unpacked."""
    monkeypatch.setattr(unpack_module, "_GROWTH_IGNORED_BYTES", 1000)
    write_zip(tmp_path / "a.zip", {"a.jpg": bytes(1_000_000)})
    with pytest.raises(DownloadError, match="no archive of images does that"):
        unpack(tmp_path / "a.zip", tmp_path / "set")


def test_two_files_of_one_name(tmp_path) -> None:
    """Nothing is overwritten silently."""
    write_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(DownloadError, match="two files that would get the name"):
        unpack(tmp_path / "a.zip", tmp_path / "set", place=lambda _: "same")


def test_archive_larger_than_the_disk(tmp_path, monkeypatch) -> None:
    """Room is looked for before the first byte is written."""
    write_zip(tmp_path / "a.zip", FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3})())
    with pytest.raises(StorageError, match="free some space"):
        unpack(tmp_path / "a.zip", tmp_path / "set")
