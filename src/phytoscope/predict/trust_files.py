"""How trust is kept in a folder: `trust.json` for numbers and `novelty.safetensors` for arrays."""

import json
from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.numpy

from phytoscope.errors import ArtifactError, PackageError
from phytoscope.predict.package_files import PackageFiles
from phytoscope.schema.artifact import write_atomic, write_json
from phytoscope.trust.novelty import NoveltyReference
from phytoscope.trust.trust import Trust

TRUST_NAME = "trust.json"
NOVELTY_NAME = "novelty.safetensors"


def write_trust(folder: Path, trust: Trust, novelty: NoveltyReference | None) -> list[Path]:
    """Writes what answers are judged by.

    Args:
        folder: Where.
        trust: Numbers.
        novelty: What the training images look like; None when novelty is not measured.

    Returns:
        The files.

    Raises:
        StorageError: The folder cannot be written.
    """
    content = {"trust": trust.to_dict(), "novelty": None if novelty is None else novelty.to_dict()}
    write_json(folder / TRUST_NAME, content)
    if novelty is None:
        (folder / NOVELTY_NAME).unlink(missing_ok=True)
        return [folder / TRUST_NAME]
    with write_atomic(folder / NOVELTY_NAME) as temporary:
        safetensors.numpy.save_file(novelty.arrays, temporary)
    return [folder / TRUST_NAME, folder / NOVELTY_NAME]


def read_trust(folder: Path) -> tuple[Trust, NoveltyReference | None]:
    """Reads what answers are judged by.

    Args:
        folder: The run.

    Raises:
        ArtifactError: A file is missing, damaged, or of another format.
    """
    return parse_trust(lambda name: (folder / name).read_bytes(), str(folder))


def parse_trust(read: Callable[[str], bytes], place: str) -> tuple[Trust, NoveltyReference | None]:
    """The same from anywhere, for example from a package that is one file.

    Args:
        read: Gives the bytes of `trust.json` and `novelty.safetensors`.
        place: Where they are, for errors.

    Raises:
        ArtifactError: A file is missing, damaged, or of another format.
    """
    try:
        content = json.loads(read(TRUST_NAME).decode("utf-8"))
    except FileNotFoundError as error:
        message = f"{TRUST_NAME} in {place!r} is missing: run the step that writes it first."
        raise ArtifactError(message) from error
    except (OSError, ValueError, RecursionError) as error:
        message = f"{TRUST_NAME} in {place!r} is damaged ({error}): evaluate again."
        raise ArtifactError(message) from error
    try:
        trust, about = Trust.from_dict(content["trust"]), content["novelty"]
        if about is None:
            return trust, None
        return trust, NoveltyReference.from_parts(about, safetensors.numpy.load(read(NOVELTY_NAME)))
    except (AttributeError, KeyError, TypeError, ValueError, OSError, safetensors.SafetensorError) as error:
        message = f"{TRUST_NAME} in {place!r} cannot be used ({type(error).__name__}: {error}): evaluate again."
        raise ArtifactError(message) from error


def read_package_trust(files: PackageFiles) -> tuple[Trust | None, NoveltyReference | None]:
    """What a package judges its answers by; nothing where an earlier version made it.

    Raises:
        PackageError: A part is damaged, or of another format.
    """
    if TRUST_NAME not in files.names:
        return None, None
    try:
        return parse_trust(files.read, str(files.path))
    except ArtifactError as error:
        message = f"the package {str(files.path)!r} cannot judge its answers ({error}): copy the package again."
        raise PackageError(message) from error
