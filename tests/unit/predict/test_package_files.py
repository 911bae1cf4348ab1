"""A package is read the same way from a folder and from one file, and nothing in it can lead elsewhere."""

import io
import os
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from factories.broken_packages import read_parts, sign_parts, zip_parts
from factories.packages import change_description, make_package
from phytoscope.errors import ArtifactError, PackageError
from phytoscope.predict import package_entries
from phytoscope.predict.package import DESCRIPTION_NAME, GOLDEN_NAME, WEIGHTS_NAME, load_package, verify_package
from phytoscope.predict.package_archive import pack_package
from phytoscope.predict.package_files import ArchiveFiles, FolderFiles, open_files, read_beside


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A package that no test changes."""
    folder = tmp_path_factory.mktemp("made") / "package"
    make_package(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A package that a test may change."""
    place = tmp_path / "package"
    for name, content in read_parts(made).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def parts(made) -> dict[str, bytes]:
    """Name -> bytes of all its files."""
    return read_parts(made)


@pytest.fixture
def archive(tmp_path):
    """Writes an archive of some entries: pairs of name, or `ZipInfo`, and bytes."""

    def write(entries, compression=zipfile.ZIP_STORED, comment=b"") -> Path:
        place = tmp_path / "model.phyto"
        with zipfile.ZipFile(place, "w", compression) as stream:
            for name, content in entries:
                stream.writestr(name, content)
            stream.comment = comment
        return place

    return write


@pytest.fixture(params=["folder", "file"])
def place(request, folder, parts, archive) -> Path:
    """The same package in both forms."""
    return folder if request.param == "folder" else archive(parts.items())


def test_both_forms_are_read_alike(folder, parts, archive) -> None:
    """Names, bytes, sizes and what it says of itself do not depend on the form."""
    one, other = open_files(folder), open_files(archive(parts.items()))
    assert isinstance(one, FolderFiles)
    assert isinstance(other, ArchiveFiles)
    assert set(one.names) == set(other.names) == set(parts) - {DESCRIPTION_NAME}
    assert one.content == other.content
    assert all(one.read(name) == other.read(name) == parts[name] for name in one.names)
    assert all(one.size(name) == other.size(name) == len(parts[name]) for name in one.names)


def test_one_file_answers_like_the_folder(folder, parts, archive) -> None:
    """Nothing is unpacked, and the answers are the same."""
    place = archive(parts.items())
    before = set(place.parent.iterdir())
    assert verify_package(place) == 0
    photo = folder / "golden" / "0.png"
    assert load_package(place).predict(photo) == load_package(folder).predict(photo)
    assert set(place.parent.iterdir()) == before


def test_deflated_archive_is_read_too(parts, archive) -> None:
    """Somebody who zips the folder by hand has a package all the same, with the entries of folders in it."""
    entries = [("golden/", b""), *parts.items()]
    assert verify_package(archive(entries, zipfile.ZIP_DEFLATED)) == 0


def test_every_reading_checks_the_hash(place, parts) -> None:
    """A part that was changed after the package was opened is not handed out."""
    files = open_files(place)
    changed = parts | {GOLDEN_NAME: parts[GOLDEN_NAME].replace(b"golden/0", b"golden/1")}
    if place.is_dir():
        (place / GOLDEN_NAME).write_bytes(changed[GOLDEN_NAME])
    else:
        place.write_bytes(zip_parts(changed))
    with pytest.raises(PackageError, match=r"is damaged: 'golden\.json'"):
        files.read(GOLDEN_NAME)
    with pytest.raises(PackageError, match=r"is damaged: 'golden\.json'"):
        files.check()
    files.read(WEIGHTS_NAME)


def test_unknown_part(place) -> None:
    """What the package does not name is not read, even where it is there."""
    with pytest.raises(PackageError, match=r"'extra\.bin' is missing"):
        open_files(place).read("extra.bin")


def test_part_that_is_gone(folder, parts, archive) -> None:
    """A part that is missing is named in both forms."""
    del parts["golden/0.png"]
    (folder / "golden/0.png").unlink()
    for place in (folder, archive(parts.items())):
        with pytest.raises(PackageError, match=r"not complete: 'golden/0\.png' is missing"):
            load_package(place)


def test_files_that_no_part_names(place, parts, archive) -> None:
    """They are never read and are listed, but for what file managers leave behind."""
    litter = {".DS_Store": b"x", "golden/Thumbs.db": b"x", "__MACOSX/._a": b"x", "._package.json": b"x"}
    extra = {"notes.txt": b"mine", "golden/2.png": b"more"}
    if place.is_dir():
        for name, content in (litter | extra).items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_bytes(content)
    else:
        place = archive((parts | litter | extra).items())
    assert open_files(place).list_strangers() == sorted(extra)
    assert verify_package(place) == 0


@pytest.mark.parametrize(
    "name",
    ["/etc/hostname", "../x", "golden/../../x", "C:/x", "a\\b", "golden/0.png:x", "a//b", "./a", "a/.", "golden/"],
)
def test_part_with_a_doubtful_name(place, parts, archive, name) -> None:
    """A name that could lead elsewhere on any system is refused in both forms."""
    if place.is_dir():
        change_description(place, lambda content: content["sha256"].update({name: "0" * 64}))
    else:
        place = archive([*parts.items(), (name.rstrip("/") if name == "golden/" else name, b"x")])
        if name == "golden/":
            pytest.skip("an entry of a folder is no part")
    with pytest.raises(PackageError, match="plain path"):
        load_package(place)


def test_entry_with_a_name_that_is_cut(parts, archive) -> None:
    """A zero byte hides the end of a name from some readers."""
    place = archive([*parts.items(), ("notesX.txt", b"x")])
    place.write_bytes(place.read_bytes().replace(b"notesX.txt", b"notes\0.txt"))
    with pytest.raises(PackageError, match="is not a plain path"):
        open_files(place)


def test_entries_that_do_harm(parts, archive) -> None:
    """Links, encrypted entries, unusual packing, folders with content, and names that stand there twice."""
    link = zipfile.ZipInfo("golden/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(PackageError, match=r"'golden/link', which is a link"):
        open_files(archive([*parts.items(), (link, b"/etc/passwd")]))
    with pytest.raises(PackageError, match=r"'GOLDEN\.json', which stands in it twice"):
        open_files(archive([*parts.items(), ("GOLDEN.json", b"[]")]))
    with pytest.raises(PackageError, match="packed in an unusual way"):
        open_files(archive(parts.items(), zipfile.ZIP_BZIP2))
    place = archive(parts.items())
    content = bytearray(place.read_bytes())
    # The flags of the first entry in the directory.
    content[content.index(b"PK\1\2") + 8] |= 1
    place.write_bytes(content)
    with pytest.raises(PackageError, match="is encrypted"):
        open_files(place)


def test_folder_entry_with_content(parts, archive) -> None:
    """An entry that calls itself a folder has nothing in it."""
    place = archive([*parts.items(), ("golden/xx", b"content")])
    place.write_bytes(place.read_bytes().replace(b"golden/xx", b"golden/x/"))
    with pytest.raises(PackageError, match="is a folder with content"):
        open_files(place)


def test_bomb_is_refused_before_it_is_read(parts, archive) -> None:
    """What would grow to many times its size is found out from the directory."""
    place = archive([*parts.items(), ("zeros.bin", bytes(200 << 20))], zipfile.ZIP_DEFLATED)
    with pytest.raises(PackageError, match=r"would grow to 21\d,\d{3},\d{3} when it is read"):
        open_files(place)


def test_entries_that_share_their_bytes(archive) -> None:
    """Many entries may lie over the same bytes of the file: each is counted."""
    place = archive([("a", bytes(4 << 20))])
    content = place.read_bytes()
    start = content.index(b"PK\1\2")
    entry = content[start : content.index(b"PK\5\6")]
    twins = b"".join(entry[:-1] + bytes([number]) for number in range(0x41, 0x41 + 26))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 26, 26, len(twins), start, 0)
    place.write_bytes(content[:start] + twins + end)
    with pytest.raises(PackageError, match="would grow"):
        open_files(place)


def test_entry_that_states_a_small_size(made, tmp_path) -> None:
    """What is unpacked of an entry is bounded by what its directory states, however much there is."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(b"0123456789" + bytes(64 << 20)) + deflate.flush()
    content = {**read_parts(made), "trust.json": b"0123456789"}
    sign_parts(content)
    place = tmp_path / "bomb.phyto"
    with zipfile.ZipFile(place, "w") as stream:
        stream.writestr("package.json", content["package.json"])
        stream.writestr("trust.json", packed)
        # What the directory says, at the end of the file, is what is believed.
        entry = stream.getinfo("trust.json")
        entry.compress_type, entry.file_size, entry.CRC = zipfile.ZIP_DEFLATED, 10, zlib.crc32(b"0123456789")
        stream.fp.seek(entry.header_offset)
        stream.fp.write(entry.FileHeader())
        stream.fp.seek(stream.start_dir)
    files = open_files(place)
    tracemalloc.start()
    try:
        assert files.read("trust.json") == b"0123456789"
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all, but longer than the end of one", b"PK\5\6" * 20])
def test_file_that_is_no_archive(tmp_path, content) -> None:
    """A picture or a cut-off download is named as what it is."""
    (tmp_path / "model.phyto").write_bytes(content)
    with pytest.raises(PackageError, match=r"is no \.phyto file, or its end is missing"):
        load_package(tmp_path / "model.phyto")


def test_archive_that_was_cut_off(parts, archive) -> None:
    """A download that ended early."""
    place = archive(parts.items())
    place.write_bytes(place.read_bytes()[:-100])
    with pytest.raises(PackageError, match="its end is missing; copy it again"):
        load_package(place)


def test_archive_with_a_comment(parts, archive) -> None:
    """Behind a comment another directory could hide, so there may be none."""
    with pytest.raises(PackageError, match="its end is missing"):
        open_files(archive(parts.items(), comment=b"hello"))


def test_archive_with_a_wrong_directory(parts, archive) -> None:
    """A directory that is not where the end says is damage, not a bug."""
    place = archive(parts.items())
    content = bytearray(place.read_bytes())
    content[-6:-3] = b"\xff\xff\xff"
    place.write_bytes(content)
    with pytest.raises(PackageError, match="is damaged"):
        open_files(place)
    content[-7] = 0x7F
    place.write_bytes(content)
    with pytest.raises(PackageError, match=r"has a directory of 2,130,\d{3},\d{3} bytes"):
        open_files(place)


def test_damaged_bytes_in_an_archive(parts, archive) -> None:
    """The sum of each entry is checked while it is read, for `package.json` too."""
    for name in (GOLDEN_NAME, DESCRIPTION_NAME):
        place = archive(parts.items())
        content = bytearray(place.read_bytes())
        content[content.index(parts[name][:60]) + 40] ^= 1
        place.write_bytes(content)
        with pytest.raises(PackageError, match=rf"is damaged: '?{name}'? cannot be read"):
            load_package(place)


def test_too_many_or_too_large(parts, archive, folder, monkeypatch) -> None:
    """A package of a million parts, or larger than any model, is refused from the end of its file."""
    place = archive(parts.items())
    monkeypatch.setattr(package_entries, "MOST_PARTS", 3)
    with pytest.raises(PackageError, match="lists 8 files, allowed are 3"):
        open_files(place)
    monkeypatch.setattr(package_entries, "MOST_BYTES", 1000)
    with pytest.raises(PackageError, match=r"GB, allowed are"):
        open_files(place)
    change_description(folder, lambda content: content["sha256"].update({f"{n}": "0" * 64 for n in range(10_001)}))
    with pytest.raises(PackageError, match=r"names 100\d\d parts, allowed are 10000"):
        open_files(folder)


def test_description_inside_a_folder_of_the_archive(parts, archive) -> None:
    """Who zips the folder itself is told how to do it."""
    place = archive([(f"package/{name}", content) for name, content in parts.items()])
    with pytest.raises(PackageError, match=r"holds 'package/package\.json'.*phytoscope package pack FOLDER"):
        open_files(place)
    with pytest.raises(PackageError, match=r"it holds no package\.json\.$"):
        open_files(archive([("a.txt", b"x")]))


def test_link_that_is_laid_later(folder, tmp_path) -> None:
    """A part that became a link to a file elsewhere after the package was opened is not read."""
    files = open_files(folder)
    (tmp_path / "secret.json").write_bytes((folder / GOLDEN_NAME).read_bytes())
    (folder / GOLDEN_NAME).unlink()
    try:
        (folder / GOLDEN_NAME).symlink_to(tmp_path / "secret.json")
    except OSError:
        pytest.skip("links are not allowed here")
    with pytest.raises(PackageError, match=r"'golden\.json' is missing"):
        files.read(GOLDEN_NAME)


def test_link_in_a_circle(folder) -> None:
    """A link to itself is no part."""
    try:
        (folder / "loop").symlink_to("loop")
    except OSError:
        pytest.skip("links are not allowed here")
    assert open_files(folder).list_strangers() == ["loop"]
    change_description(folder, lambda content: content["sha256"].update({"loop/x": "0" * 64}))
    with pytest.raises(PackageError, match="plain path"):
        load_package(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_in_place_of_a_part(folder) -> None:
    """A named pipe would be waited for without end."""
    (folder / GOLDEN_NAME).unlink()
    os.mkfifo(folder / GOLDEN_NAME)
    with pytest.raises(PackageError, match=r"'golden\.json' is missing"):
        load_package(folder)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is readable here")
@pytest.mark.parametrize("name", [GOLDEN_NAME, DESCRIPTION_NAME])
def test_part_that_may_not_be_read(folder, name) -> None:
    """What the system refuses is said."""
    (folder / name).chmod(0)
    with pytest.raises(PackageError, match="cannot be read"):
        load_package(folder)


def test_system_refuses(place, monkeypatch) -> None:
    """Errors of the system become errors about the package, wherever they happen."""
    files = open_files(place)

    def refuse(*_: object, **__: object) -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(files), "_open", refuse)
    with pytest.raises(PackageError, match=rf"'{GOLDEN_NAME}' cannot be read \(Permission denied\)"):
        files.read(GOLDEN_NAME)
    if place.is_file():
        with pytest.raises(PackageError, match=r"package\.json cannot be read \(.*Permission denied"):
            open_files(place)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PackageError, match=r"cannot be read \(Permission denied\)"):
        type(files)(place)
    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(PackageError, match=r"cannot be read \(Permission denied\)"):
        open_files(place)


def test_part_beside_or_in_a_package(folder, parts, archive, tmp_path) -> None:
    """Readers of further parts take a package in both forms, and the folder of a run."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "trust.json").write_bytes(b"{}")
    assert read_beside(folder, "trust.json") == read_beside(archive(parts.items()), "trust.json") == parts["trust.json"]
    assert read_beside(run, "trust.json") == b"{}"
    assert read_beside(run, "seen.parquet") is read_beside(folder, "seen.parquet") is None


def test_file_beside_that_cannot_be_read(tmp_path, monkeypatch) -> None:
    """The file of a run that the system refuses is named."""
    (tmp_path / "trust.json").write_bytes(b"{}")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ArtifactError, match=r"trust\.json' cannot be read \(Permission denied\)"):
        read_beside(tmp_path, "trust.json")


def test_nothing_stays_open(folder, tmp_path) -> None:
    """A package that was opened can be replaced, on Windows too, and uses up no file handles."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list open files")
    pack_package(folder, tmp_path / "a.phyto")
    files = open_files(tmp_path / "a.phyto")
    for _ in range(3):
        files.check()
    opened = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    assert not [name for name in opened if name.endswith("a.phyto")]


def test_part_that_is_read_anyway_is_not_compared_twice(folder) -> None:
    """Only the parts that are named may be left out of the comparison."""
    (folder / WEIGHTS_NAME).write_bytes(b"damaged")
    files = open_files(folder)
    files.check(skip=[WEIGHTS_NAME])
    with pytest.raises(PackageError, match="is not what it was"):
        files.check()
