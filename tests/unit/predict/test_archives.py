"""Images inside archives."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from phytoscope.predict import source_archives
from phytoscope.predict.batch import count_images, iterate_images, predict_files
from phytoscope.schema.progress import SilentProgress

KINDS = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]


def pack(place: Path, members: dict[str, bytes]) -> Path:
    """Writes an archive; its name decides the kind."""
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return place
    kind = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[place.suffix]
    with tarfile.open(place, kind) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return place


def answer(predictor, sources, output: Path) -> pd.DataFrame:
    """Answers and reads the table."""
    predict_files(predictor, sources, output, workers=2, batch_size=3, progress=SilentProgress())
    return pd.read_csv(output)


@pytest.fixture
def members(photo) -> dict[str, bytes]:
    """Five photographs in folders, and what else lies beside them."""
    found = {f"leaves/{number}/a.png": photo(f"{number}.png").read_bytes() for number in range(5)}
    beside = {"leaves/notes.txt": b"x", "__MACOSX/leaves/._a.png": b"x", "leaves/.hidden.png": b"x"}
    return {**found, **beside}


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_answered_as_files_are(classifier, members, photo, tmp_path, kind) -> None:
    """The same numbers as from files, in the order of the archive, named by archive and member."""
    archive = pack(tmp_path / f"photos{kind}", members)
    found = answer(classifier, [archive], tmp_path / "a.csv")
    files = answer(classifier, [photo(f"{number}.png") for number in range(5)], tmp_path / "b.csv")
    assert found["path"].tolist() == [f"{archive}/leaves/{number}/a.png" for number in range(5)]
    pd.testing.assert_frame_equal(found.drop(columns="path"), files.drop(columns="path"))


def test_list_may_name_archives(classifier, members, photo, tmp_path) -> None:
    """A list mixes files and archives."""
    pack(tmp_path / "photos.zip", members)
    photo("single.png")
    (tmp_path / "list.txt").write_text("single.png\nphotos.zip\n")
    assert len(answer(classifier, [tmp_path / "list.txt"], tmp_path / "a.csv")) == 6


def test_images_of_a_zip_are_counted_and_those_of_a_tar_are_not(members, tmp_path) -> None:
    """A zip file has a directory; of a tar file only reading all of it would tell."""
    sources = [pack(tmp_path / "photos.zip", members)]
    assert count_images(sources) == 5
    assert count_images([*sources, pack(tmp_path / "photos.tar", members)]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_cut_archive_is_a_row_behind_what_could_be_read(classifier, members, tmp_path, kind) -> None:
    """Nothing that is missing is passed over in silence."""
    archive = pack(tmp_path / f"photos{kind}", members)
    archive.write_bytes(archive.read_bytes()[: int(0.6 * archive.stat().st_size)])
    table = answer(classifier, [archive], tmp_path / "a.csv")
    assert table["path"].tolist()[-1] == str(archive)
    assert "the archive is damaged" in table["error"].tolist()[-1]


def test_tar_cut_between_two_members(classifier, members, tmp_path) -> None:
    """Without its end mark a tar file is not whole, although each of its members is."""
    archive = pack(tmp_path / "photos.tar", {"a.png": members["leaves/0/a.png"]})
    size = -(-len(members["leaves/0/a.png"]) // 512) * 512 + 512
    archive.write_bytes(archive.read_bytes()[:size])
    table = answer(classifier, [archive], tmp_path / "a.csv")
    assert table["error"].isna().tolist() == [True, False]
    assert "without its end mark" in table["error"].tolist()[1]


def test_damaged_member_of_a_zip_leaves_the_others(classifier, members, tmp_path) -> None:
    """Only its own row has an error."""
    archive = pack(tmp_path / "photos.zip", members)
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 255
    archive.write_bytes(content)
    table = answer(classifier, [archive], tmp_path / "a.csv")
    assert len(table) == 5
    assert table["error"].notna().sum() == 1
    assert "damaged" in table["error"].dropna().item()


def test_links_and_devices_in_a_tar(classifier, members, tmp_path) -> None:
    """What would lead out of the archive is not followed."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE), ("c.png", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    table = answer(classifier, [tmp_path / "a.tar"], tmp_path / "a.csv")
    assert table["error"].str.contains("is not followed").tolist() == [True] * 3


def test_link_encrypted_and_nested_in_a_zip(classifier, members, tmp_path) -> None:
    """Each says in its row why it is not answered."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", b"x")
        archive.writestr("secret.png", members["leaves/0/a.png"])
    content = (tmp_path / "a.zip").read_bytes()
    place = content.rindex(b"PK\x01\x02")
    (tmp_path / "a.zip").write_bytes(content[: place + 8] + b"\x01" + content[place + 9 :])
    table = answer(classifier, [tmp_path / "a.zip"], tmp_path / "a.csv")
    words = ["is not followed", "unpack it first", "is encrypted"]
    assert [word in error for word, error in zip(words, table["error"], strict=True)] == [True] * 3


@pytest.mark.parametrize("kind", [".zip", ".tar.gz"])
def test_bomb_is_not_unpacked(classifier, members, tmp_path, kind, monkeypatch) -> None:
    """A member that is larger than any photograph is refused by its header."""
    monkeypatch.setattr(source_archives, "_MOST_BYTES", 1 << 16)
    archive = pack(tmp_path / f"a{kind}", {"bomb.png": bytes(1 << 20), "a.png": members["leaves/0/a.png"]})
    table = answer(classifier, [archive], tmp_path / "a.csv")
    assert table["error"].notna().tolist() == [True, False]
    assert "no photograph is" in table["error"].tolist()[0]


def test_name_that_fills_the_memory(classifier, tmp_path) -> None:
    """A tar file announces a name of two megabytes, and is not believed."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
        archive.addfile(info, io.BytesIO(bytes(2 << 20)))
    table = answer(classifier, [tmp_path / "a.tar.gz"], tmp_path / "a.csv")
    assert table["error"].tolist() == ["the archive is damaged (a name of 2097152 bytes)"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_archive_at_all(classifier, tmp_path, kind) -> None:
    """A name does not make an archive."""
    (tmp_path / f"a{kind}").write_bytes(b"not an archive " * 100)
    table = answer(classifier, [tmp_path / f"a{kind}"], tmp_path / "a.csv")
    assert table["error"].str.startswith("the archive is damaged").tolist() == [True]


def test_members_are_not_kept_in_memory(members, tmp_path) -> None:
    """The content goes when the next one is asked for, unless somebody loaded it."""
    archive = pack(tmp_path / "photos.tar", members)
    images = list(iterate_images([archive]))
    assert [image.content for image in images] == [None] * 5
    assert [image.load().content for image in iterate_images([archive])] == list(members.values())[:5]
