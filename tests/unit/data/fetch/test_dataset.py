"""Whole data sets from servers on loopback that answer as the public ones do."""

import base64
import dataclasses
import io
import json
import random
import zipfile

import pytest

from factories.images import encode, make_pixels
from factories.servers import Served, serve_files
from phytoscope.data.fetch import dataset, download
from phytoscope.data.fetch.dataset import SOURCE_NAME, fetch_dataset
from phytoscope.data.fetch.known import KNOWN, find_known
from phytoscope.errors import ConfigError, DownloadError
from phytoscope.schema.progress import SilentProgress

COMMIT = "a" * 40
IMAGE = encode(make_pixels(), "JPEG")


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch, tmp_path) -> None:
    """No credentials of the person who runs the tests, no pauses."""
    monkeypatch.setattr(download, "_FIRST_PAUSE_S", 0.0)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "kaggle"))


def zipped(names) -> bytes:
    """An archive of small images."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as book:
        for name in names:
            book.writestr(name, IMAGE if name.endswith(".jpg") else random.Random(0).randbytes(400_000))
    return buffer.getvalue()


def fetch(sources, folder, **options):
    """Fetches without anybody looking."""
    return fetch_dataset(tuple(sources), folder, progress=SilentProgress(), **options)


def names(folder):
    """Relative names of all files."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


REPOSITORY = [
    "PlantVillage-Dataset-master/raw/color/Apple___rust/a.jpg",
    "PlantVillage-Dataset-master/raw/color/Apple___healthy/b.jpg",
    "PlantVillage-Dataset-master/raw/grayscale/Apple___rust/a.jpg",
    "PlantVillage-Dataset-master/leaf-map.json",
    "PlantVillage-Dataset-master/README.md",
]


def test_known_data_set(tmp_path) -> None:
    """Of PlantVillage's repository the colour photographs and the leaf map are kept, in the layout that is read."""
    with serve_files({"/master.zip": Served(zipped(REPOSITORY))}) as server:
        known = dataclasses.replace(
            find_known("plantvillage"), sources=(f"{server.address}/master.zip",), images=2, classes=2
        )
        got = fetch(known.sources, tmp_path / "pv", known=known)
    assert names(tmp_path / "pv") == sorted(
        ["Apple___rust/a.jpg", "Apple___healthy/b.jpg", "leaf-map.json", SOURCE_NAME]
    )
    assert (got.images, got.classes, got.reused, got.missing) == (2, 2, False, "")
    source = json.loads((tmp_path / "pv" / SOURCE_NAME).read_text())
    assert source["licence"] == "CC BY-SA 3.0"
    assert len(source["files"][0]["sha256"]) == 64
    assert [entry.name for entry in tmp_path.iterdir()] == ["pv"]


def test_what_is_missing_is_said(tmp_path) -> None:
    """The number of images that must arrive is compared."""
    with serve_files({"/master.zip": Served(zipped(REPOSITORY))}) as server:
        got = fetch([f"{server.address}/master.zip"], tmp_path / "pv", known=find_known("plantvillage"))
    assert got.missing == "2 of 54306 images and 2 of 38 classes"


def test_second_time_nothing_is_fetched(tmp_path) -> None:
    """A folder that was fetched is reused, without a network."""
    with serve_files({"/a.zip": Served(zipped(["rust/a.jpg"]))}) as server:
        url = f"{server.address}/a.zip"
        fetch([url], tmp_path / "set")
    assert fetch([url], tmp_path / "set").reused


def test_another_source_is_not_taken_for_the_same(tmp_path) -> None:
    """A folder that was fetched from elsewhere, or whose archive had another checksum, is not reused."""
    with serve_files({"/a.zip": Served(zipped(["rust/a.jpg"])), "/b.zip": Served(zipped(["rust/b.jpg"]))}) as server:
        fetch([f"{server.address}/a.zip?key=secret"], tmp_path / "set")
        with pytest.raises(ConfigError, match="holds something else: it was fetched from"):
            fetch([f"{server.address}/b.zip"], tmp_path / "set")
        with pytest.raises(DownloadError, match="not 0000"):
            fetch([f"{server.address}/a.zip"], tmp_path / "set", sha256="0" * 64)
    assert "secret" not in (tmp_path / "set" / SOURCE_NAME).read_text()


@pytest.mark.parametrize(
    ("archived", "kept"),
    [
        (["leaves/rust/a.jpg", "leaves/healthy/b.jpg"], ["healthy/b.jpg", "rust/a.jpg"]),
        (["x/data/train/rust/a.jpg", "x/data/test/rust/b.jpg"], ["test/rust/b.jpg", "train/rust/a.jpg"]),
        (["rust/a.jpg"], ["rust/a.jpg"]),
        (["rust/a.jpg", "healthy/b.jpg"], ["healthy/b.jpg", "rust/a.jpg"]),
    ],
)
def test_folder_around_everything(tmp_path, archived, kept) -> None:
    """A folder that only holds the data set is left out, so that its classes are found; a lone class stays."""
    with serve_files({"/a.zip": Served(zipped(archived))}) as server:
        fetch([f"{server.address}/a.zip"], tmp_path / "set")
    assert [name for name in names(tmp_path / "set") if name != SOURCE_NAME] == kept


def test_file_that_is_no_archive_is_fetched_anew(tmp_path) -> None:
    """A web page in place of the archive does not stay in the way of the next try."""
    with serve_files({"/a.zip": Served(b"<html>login</html>")}) as server:
        with pytest.raises(DownloadError, match="but a web page"):
            fetch([f"{server.address}/a.zip"], tmp_path / "set")
        server.files["/a.zip"] = Served(zipped(["rust/a.jpg"]))
        assert fetch([f"{server.address}/a.zip"], tmp_path / "set").images == 1


def test_files_put_there_meanwhile_stay(tmp_path, monkeypatch) -> None:
    """A folder that is filled by somebody else during the download is left alone."""
    unpack = dataset.unpack_archive

    def unpack_and_write(*arguments, **options):
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "mine.txt").touch()
        return unpack(*arguments, **options)

    monkeypatch.setattr(dataset, "unpack_archive", unpack_and_write)
    archive = {"/a.zip": Served(zipped(["rust/a.jpg"]))}
    with serve_files(archive) as server, pytest.raises(ConfigError, match="somebody put files there"):
        fetch([f"{server.address}/a.zip"], tmp_path / "set")
    assert names(tmp_path / "set") == ["mine.txt"]


def test_several_archives(tmp_path) -> None:
    """A data set may come in parts."""
    parts = {f"/{part}.zip": Served(zipped([f"{part}/rust/a.jpg"])) for part in ("train", "test")}
    with serve_files(parts) as server:
        got = fetch([server.address + path for path in parts], tmp_path / "set")
    assert got.images == 2
    assert "train/rust/a.jpg" in names(tmp_path / "set")


def test_interrupted_between_archives(tmp_path) -> None:
    """What was fetched before the failure is not fetched again, and no half folder is left."""
    parts = {
        "/train.zip": Served(zipped(["train/rust/a.jpg"])),
        "/test.zip": Served(zipped(["test/rust/a.jpg", "test/notes.txt"]), breaks=[300_000, 0, 0, 0, 0]),
    }
    with serve_files(parts) as server:
        urls = [server.address + path for path in parts]
        with pytest.raises(DownloadError, match="goes on from there"):
            fetch(urls, tmp_path / "set")
        assert not (tmp_path / "set").exists()
        assert fetch(urls, tmp_path / "set").images == 2
        assert server.ranges_asked()[-1] != ""
        assert [path for _, path, _ in server.requests].count("/train.zip") == 1


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, None),
        ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "key"}, "Basic " + base64.b64encode(b"me:key").decode()),
        ({"KAGGLE_API_TOKEN": "token"}, "Bearer token"),
        ({"file": '{"username": "me", "key": "key"}'}, "Basic " + base64.b64encode(b"me:key").decode()),
    ],
)
def test_kaggle(tmp_path, monkeypatch, environment, wanted) -> None:
    """Kaggle's address with the credentials of environment or file, then its store of files without them."""
    if "file" in environment:
        (tmp_path / "kaggle").mkdir()
        (tmp_path / "kaggle" / "kaggle.json").write_text(environment.pop("file"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with serve_files({"/blob": Served(zipped(["x/color/rust/a.jpg"]))}) as store:
        blob = store.address.replace("127.0.0.1", "localhost") + "/blob?signature=1"
        with serve_files({"/api/v1/datasets/download/me/leaves": Served(b"", redirect=blob, wants=wanted)}) as hub:
            monkeypatch.setenv("KAGGLE_API_ENDPOINT", hub.address)
            assert fetch(["kaggle:me/leaves"], tmp_path / "set").images == 1
        assert all("Authorization" not in headers for _, _, headers in store.requests)


def test_kaggle_refuses(tmp_path, monkeypatch) -> None:
    """A refusal says what may be missing; a damaged file of credentials is named."""
    with serve_files({"/api/v1/datasets/download/me/leaves": Served(b"", wants="Bearer x")}) as hub:
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", hub.address)
        with pytest.raises(DownloadError, match="are the credentials right, and were the terms"):
            fetch(["kaggle:me/leaves"], tmp_path / "set")
        (tmp_path / "kaggle").mkdir()
        (tmp_path / "kaggle" / "kaggle.json").write_text("[]")
        with pytest.raises(ConfigError, match="not Kaggle's file of credentials"):
            fetch(["kaggle:me/leaves"], tmp_path / "set")


def hub_files(files):
    """What Hugging Face's hub answers for one data set."""
    siblings = [{"rfilename": name} for name in files]
    info = json.dumps({"id": "me/leaves", "sha": COMMIT, "siblings": siblings, "private": False}).encode()
    headers = {"X-Repo-Commit": COMMIT, "Content-Type": "application/octet-stream"}
    served = {
        f"/datasets/me/leaves/resolve/{COMMIT}/{name}": Served(content, headers) for name, content in files.items()
    }
    served["/api/datasets/me/leaves/revision/main"] = Served(info, {"Content-Type": "application/json"})
    entries = [{"type": "file", "path": name, "size": len(content), "oid": "0"} for name, content in files.items()]
    served[f"/api/datasets/me/leaves/tree/{COMMIT}"] = Served(
        json.dumps(entries).encode(), {"Content-Type": "application/json"}
    )
    return served


def test_hugging_face(tmp_path, monkeypatch) -> None:
    """Plain files keep their places, archives are unpacked."""
    files = {"train/rust/a.jpg": IMAGE, "README.md": b"# leaves", "test.zip": zipped(["test/rust/b.jpg"])}
    with serve_files(hub_files(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert fetch(["hf:me/leaves"], tmp_path / "set").images == 2
    assert names(tmp_path / "set") == ["README.md", SOURCE_NAME, "test/rust/b.jpg", "train/rust/a.jpg"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_hugging_face_without_the_data_set(tmp_path, monkeypatch) -> None:
    """A wrong name is answered with what may be wrong."""
    with serve_files({}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        with pytest.raises(DownloadError, match="Is the name right"):
            fetch(["hf:me/nothing"], tmp_path / "set")


@pytest.mark.parametrize("source", ["ftp://host/a.zip", "kaggle:leaves", "hf:a/b/c", "leaves", "kaggle:../x"])
def test_sources_that_are_none(tmp_path, source) -> None:
    """Each way to name a source is shown."""
    with pytest.raises(ConfigError, match="is not a source"):
        fetch([source], tmp_path / "set")


def test_folder_of_somebody_else(tmp_path) -> None:
    """Files that are there are neither replaced nor mixed with new ones."""
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError, match="not empty"):
        fetch(["https://host/a.zip"], tmp_path)


def test_archive_without_images(tmp_path) -> None:
    """An archive of something else is not kept."""
    archive = {"/a.zip": Served(zipped(["notes.txt"]))}
    with serve_files(archive) as server, pytest.raises(DownloadError, match="no image among the files"):
        fetch([f"{server.address}/a.zip"], tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_checksum_of_one_archive_only(tmp_path) -> None:
    """One checksum cannot stand for several files."""
    with pytest.raises(ConfigError, match="one archive only"):
        fetch(["https://host/a.zip", "https://host/b.zip"], tmp_path / "set", sha256="0" * 64)


def test_unknown_name() -> None:
    """A typo is answered with the nearest name."""
    with pytest.raises(ConfigError, match="did you mean 'plantvillage'"):
        find_known("plantvilage")


def test_known_names_are_words() -> None:
    """Every entry can be typed, names a licence, and comes from an address that is known to work."""
    assert len({known.name for known in KNOWN}) == len(KNOWN)
    for known in KNOWN:
        assert known.name.isidentifier()
        assert known.licence
        assert all(source.startswith(("https://", "kaggle:", "hf:")) for source in known.sources)
