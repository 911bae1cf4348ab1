"""Brings a public data set into a folder: from an address, from Kaggle or from Hugging Face."""

import base64
import datetime
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from phytoscope.data.fetch.download import Downloaded, download_file, public_address
from phytoscope.data.fetch.known import KnownDataset
from phytoscope.data.fetch.unpack import Place, unpack_archive
from phytoscope.errors import ConfigError, DownloadError, PhytoscopeError, storage_error
from phytoscope.schema.artifact import read_json
from phytoscope.schema.progress import Progress
from phytoscope.transforms.decode import IMAGE_SUFFIXES

SOURCE_NAME = "SOURCE.json"
"""Written beside the fetched files: where they came from, their checksums, what arrived."""
_KAGGLE = "https://www.kaggle.com"
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


@dataclass(frozen=True)
class Fetched:
    """What lies in the folder now.

    Attributes:
        folder: The folder.
        images: Image files in it.
        classes: Folders that hold images.
        reused: Whether it had been fetched before.
        missing: What should be there and is not, in words; empty when all is well or nobody knows.
    """

    folder: Path
    images: int
    classes: int
    reused: bool
    missing: str = ""


def fetch_dataset(
    sources: tuple[str, ...],
    folder: Path,
    *,
    progress: Progress,
    known: KnownDataset | None = None,
    sha256: str | None = None,
) -> Fetched:
    """Fetches archives, checks and unpacks them; an interrupted fetch goes on where it stopped.

    Args:
        sources: `https://...`, `kaggle:OWNER/NAME` or `hf:OWNER/NAME`.
        folder: Where the files shall lie; it appears when all of them are there.
        progress: Told about bytes and files.
        known: Which parts to keep and how many images to expect.
        sha256: Expected SHA-256 of the archive, where there is one archive.

    Raises:
        ConfigError: A source is not written as one of these, or `sha256` is given for something that is not one file.
        DownloadError: The source cannot be reached or refuses, or what arrived is not what was promised.
        StorageError: The place cannot be written, or the folder holds files of somebody else.
    """
    earlier = _read_source(folder)
    if earlier is not None:
        _check_same(folder, earlier, sources, sha256)
        images, classes = _count(folder)
        return Fetched(folder, images, classes, reused=True, missing=_compare(known, images, classes))
    if folder.is_dir() and any(folder.iterdir()):
        message = f"{str(folder)!r} is not empty: choose a new folder, so that nothing of yours is mixed with it."
        raise ConfigError(message)
    if sha256 is not None and (len(sources) > 1 or sources[0].startswith("hf:")):
        message = "a SHA-256 can be given for one archive only; this source has several files, each with its own."
        raise ConfigError(message)
    downloads = folder.with_name(f".{folder.name}.download")
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(downloads / ".lock"):
            images, classes = _fetch_into(sources, folder, downloads, known, sha256, progress)
        shutil.rmtree(downloads, ignore_errors=True)
    except PhytoscopeError:
        # Some of ours are OSErrors too, and say better what happened.
        raise
    except OSError as error:
        raise storage_error(folder, error) from error
    return Fetched(folder, images, classes, reused=False, missing=_compare(known, images, classes))


def _fetch_into(
    sources: tuple[str, ...],
    folder: Path,
    downloads: Path,
    known: KnownDataset | None,
    sha256: str | None,
    progress: Progress,
) -> tuple[int, int]:
    # What a killed process had unpacked may be half a file; its downloads lie in `files` and are known to be whole.
    unpacked = downloads / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir()
    place = _place(known)
    parts = [_fetch_source(source, unpacked, downloads / "files", place, progress, sha256=sha256) for source in sources]
    unpacked = _enter_lone_folder(unpacked) if known is None else unpacked
    images, classes = _count(unpacked)
    if images == 0:
        message = f"{', '.join(sources)}: no image among the files that arrived, so nothing was kept."
        raise DownloadError(message)
    _write_source(unpacked, sources, [entry for part in parts for entry in part], known)
    try:
        if folder.is_dir():
            folder.rmdir()
    except OSError as error:
        message = f"{str(folder)!r} is not empty any more: somebody put files there meanwhile. Move them away."
        raise ConfigError(message) from error
    unpacked.rename(folder)
    return images, classes


def _enter_lone_folder(folder: Path) -> Path:
    # Archives of a repository or of a data set hold one folder with everything in it. Of a folder with images, nobody
    # can tell whether it is the one class or the whole.
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        inside = [entry for entry in entries if entry.is_dir()]
        others = [entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES]
        if len(inside) != 1 or others or not any(entry.is_dir() for entry in inside[0].iterdir()):
            return folder
        folder = inside[0]


def _check_same(folder: Path, earlier: dict[str, Any], sources: tuple[str, ...], sha256: str | None) -> None:
    wanted = [_public_source(source) for source in sources]
    if earlier.get("sources") != wanted:
        message = (
            f"{str(folder)!r} holds something else: it was fetched from "
            f"{', '.join(map(str, earlier.get('sources', [])))}. Choose another --output."
        )
        raise ConfigError(message)
    known = [entry.get("sha256") for entry in earlier.get("files", [])]
    if sha256 is not None and known != [sha256.lower()]:
        message = (
            f"{str(folder)!r} was fetched from an archive with SHA-256 {', '.join(map(str, known))}, not "
            f"{sha256.lower()}: remove the folder to fetch it again, or choose another --output."
        )
        raise DownloadError(message)


def _public_source(source: str) -> str:
    return public_address(source) if source.startswith("http") else source


def _fetch_source(
    source: str, folder: Path, downloads: Path, place: Place, progress: Progress, *, sha256: str | None
) -> list[dict[str, Any]]:
    kind, _, name = source.partition(":")
    if kind == "hf":
        return _fetch_hugging_face(_check_name(source, name), folder, downloads, place, progress)
    if kind == "kaggle":
        url, headers = _kaggle_request(_check_name(source, name))
        target = downloads / f"{name.replace('/', '-')}.zip"
    elif kind in ("http", "https"):
        url, headers = source, {}
        target = downloads / (Path(source.partition("?")[0]).name or "download")
    else:
        message = f"{source!r} is not a source: write https://..., kaggle:OWNER/NAME or hf:OWNER/NAME."
        raise ConfigError(message)
    fetched = download_file(url, target, progress=progress, sha256=sha256, headers=headers)
    try:
        unpack_archive(fetched.path, folder, progress=progress, place=place)
    except DownloadError:
        # The same bytes would fail again: the next call fetches anew.
        fetched.path.unlink(missing_ok=True)
        raise
    return [_entry(source, fetched)]


def _entry(source: str, fetched: Downloaded) -> dict[str, Any]:
    return {
        "source": _public_source(source),
        "sha256": fetched.sha256,
        "bytes": fetched.size_bytes,
        "confirmed_by": fetched.confirmed_by,
    }


def _check_name(source: str, name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        message = f"{source!r} is not a source: write kaggle:OWNER/NAME or hf:OWNER/NAME."
        raise ConfigError(message)
    return name


def _kaggle_request(name: str) -> tuple[str, dict[str, str]]:
    endpoint = os.environ.get("KAGGLE_API_ENDPOINT", _KAGGLE).rstrip("/")
    url = f"{endpoint}/api/v1/datasets/download/{name}"
    token = os.environ.get("KAGGLE_API_TOKEN")
    if token:
        return url, {"Authorization": f"Bearer {token}"}
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if not (user and key):
        user, key = _kaggle_file()
    if not (user and key):
        # Public data sets are handed out without credentials; a refusal says that they are needed.
        return url, {}
    return url, {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode("ascii")}


def _kaggle_file() -> tuple[str | None, str | None]:
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR", "~/.kaggle")).expanduser()
    try:
        content = json.loads((folder / "kaggle.json").read_text(encoding="utf-8"))
        return str(content["username"]), str(content["key"])
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = (
            f"{str(folder / 'kaggle.json')!r} is not Kaggle's file of credentials ({type(error).__name__}): "
            "make a new one in your settings at kaggle.com."
        )
        raise ConfigError(message) from error


def _fetch_hugging_face(
    name: str, folder: Path, downloads: Path, place: Place, progress: Progress
) -> list[dict[str, Any]]:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    progress.start(f"Fetching {name} from Hugging Face", None)
    try:
        # The hub's library goes on where it was interrupted, and checks each file against the hub's checksum.
        endpoint = os.environ.get("HF_ENDPOINT")
        snapshot = huggingface_hub.snapshot_download(
            name, repo_type="dataset", endpoint=endpoint, cache_dir=downloads, max_workers=4
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        message = (
            f"hf:{name} could not be fetched ({reason}). Is the name right, and does it need a login (HF_TOKEN)? What "
            "has arrived is kept: the same command goes on from there."
        )
        raise DownloadError(message) from error
    finally:
        progress.finish()
    store = Path(str(snapshot))
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != ".gitattributes")
    for path in files:
        if _ARCHIVE.search(path.name):
            unpack_archive(path, folder, progress=progress, place=place)
        elif (here := place(path.relative_to(store).as_posix())) is not None:
            target = folder / here
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return [{"source": f"hf:{name}", "revision": store.name, "files": len(files), "confirmed_by": "the hub"}]


def _place(known: KnownDataset | None) -> Place:
    if known is None or not known.keep:
        return lambda name: name

    def place(name: str) -> str | None:
        # Archives of a repository hold everything in one folder named after it.
        for candidate in (name, name.partition("/")[2]):
            for kept, here in known.keep:
                if candidate == kept:
                    return here
                if candidate.startswith(f"{kept}/"):
                    rest = candidate[len(kept) + 1 :]
                    return f"{here}/{rest}" if here else rest
        return None

    return place


def _count(folder: Path) -> tuple[int, int]:
    images = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES]
    return len(images), len({path.parent.name for path in images})


def _compare(known: KnownDataset | None, images: int, classes: int) -> str:
    if known is None:
        return ""
    pairs = ((known.images, images, "images"), (known.classes, classes, "classes"))
    return " and ".join(
        f"{found} of {wanted} {what}" for wanted, found, what in pairs if wanted is not None and found != wanted
    )


def _read_source(folder: Path) -> dict[str, Any] | None:
    if not (folder / SOURCE_NAME).is_file():
        return None
    content = read_json(folder / SOURCE_NAME)
    return content if isinstance(content, dict) else None


def _write_source(
    folder: Path, sources: tuple[str, ...], files: list[dict[str, Any]], known: KnownDataset | None
) -> None:
    content: dict[str, Any] = {
        "sources": [_public_source(source) for source in sources],
        "files": files,
        "fetched_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if known is not None:
        content |= {"name": known.name, "title": known.title, "licence": known.licence, "doi": known.doi}
    (folder / SOURCE_NAME).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
