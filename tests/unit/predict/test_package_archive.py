"""A package becomes one file and a folder again, and loses nothing on the way."""

import shutil
import zipfile
from pathlib import Path

import pytest

from factories.broken_packages import read_parts
from factories.packages import make_package
from phytoscope.errors import ConfigError, PackageError
from phytoscope.predict import package_archive
from phytoscope.predict.package import GOLDEN_NAME, verify_package
from phytoscope.predict.package_archive import pack_package, unpack_package


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A package that no test changes."""
    folder = tmp_path_factory.mktemp("made") / "package"
    make_package(folder)
    return folder


def test_same_bytes_every_time(made, tmp_path) -> None:
    """Neither the time, nor the order of the files on the disk, nor their permissions change the bytes."""
    pack_package(made, tmp_path / "a.phyto")
    copy = tmp_path / "copy"
    for name, content in sorted(read_parts(made).items(), reverse=True):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
        (copy / name).chmod(0o600)
    pack_package(copy, tmp_path / "b.phyto")
    pack_package(tmp_path / "a.phyto", tmp_path / "c.phyto")
    first = (tmp_path / "a.phyto").read_bytes()
    assert first == (tmp_path / "b.phyto").read_bytes() == (tmp_path / "c.phyto").read_bytes()
    assert verify_package(tmp_path / "a.phyto") == 0


def test_parts_are_stored_as_they_are(made, tmp_path) -> None:
    """The description comes first, then the parts in the order of their names, none of them shrunk."""
    pack_package(made, tmp_path / "a.phyto")
    with zipfile.ZipFile(tmp_path / "a.phyto") as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == ["package.json", *sorted(names[1:])]
    assert all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    assert all(entry.date_time == (1980, 1, 1, 0, 0, 0) for entry in entries)


def test_there_and_back(made, tmp_path) -> None:
    """A folder that was packed and unpacked is the same, byte for byte."""
    assert pack_package(made, tmp_path / "a.phyto") == []
    assert unpack_package(tmp_path / "a.phyto", tmp_path / "back") == []
    assert read_parts(tmp_path / "back") == read_parts(made)


def test_what_is_no_part_stays_behind(made, tmp_path) -> None:
    """Files of the user are neither packed nor unpacked, and are named."""
    shutil.copytree(made, tmp_path / "own")
    (tmp_path / "own" / "notes.txt").write_text("mine")
    assert pack_package(tmp_path / "own", tmp_path / "a.phyto") == ["notes.txt"]
    with zipfile.ZipFile(tmp_path / "a.phyto") as archive:
        assert "notes.txt" not in archive.namelist()
    assert unpack_package(tmp_path / "own", tmp_path / "back") == ["notes.txt"]
    assert read_parts(tmp_path / "back") == read_parts(made)


def test_damaged_package_is_not_packed(made, tmp_path) -> None:
    """Damage is not handed on, and nothing is left of the attempt."""
    shutil.copytree(made, tmp_path / "own")
    (tmp_path / "own" / GOLDEN_NAME).write_text("[]")
    for write, target in ((pack_package, tmp_path / "a.phyto"), (unpack_package, tmp_path / "back")):
        with pytest.raises(PackageError, match=r"'golden\.json' is not what it was"):
            write(tmp_path / "own", target)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_existing_output_is_kept(made, tmp_path) -> None:
    """Only --overwrite replaces it, and a folder that is no package is left alone all the same."""
    (tmp_path / "a.phyto").write_text("old")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "thesis.docx").write_text("mine")
    for write, name in ((pack_package, "a.phyto"), (unpack_package, "back")):
        with pytest.raises(ConfigError, match="exists: choose another name, or add --overwrite"):
            write(made, tmp_path / name)
    pack_package(made, tmp_path / "a.phyto", overwrite=True)
    assert verify_package(tmp_path / "a.phyto") == 0
    with pytest.raises(ConfigError, match="exists and is no package"):
        unpack_package(made, tmp_path / "back", overwrite=True)
    shutil.copytree(made, tmp_path / "older")
    (tmp_path / "older" / "leftover.txt").write_text("old")
    unpack_package(tmp_path / "a.phyto", tmp_path / "older", overwrite=True)
    assert read_parts(tmp_path / "older") == read_parts(made)


def test_name_of_the_file(made, tmp_path) -> None:
    """Another ending would not be known again."""
    with pytest.raises(ConfigError, match=r"must end in \.phyto, for example 'leaves\.phyto'"):
        pack_package(made, tmp_path / "leaves.zip")


def test_package_that_is_too_large_for_one_file(made, tmp_path, monkeypatch) -> None:
    """It is refused before anything is written."""
    monkeypatch.setattr(package_archive, "MOST_BYTES", 1000)
    with pytest.raises(PackageError, match="hand the folder on as it is"):
        pack_package(made, tmp_path / "a.phyto")
    assert not list(tmp_path.iterdir())
