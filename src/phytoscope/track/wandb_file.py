"""Which events a local file of Weights & Biases holds already.

`wandb sync` adds what a file holds to what the server has, so no event may stand in two files of one run. The files are
in LevelDB's log format behind seven bytes of their own (https://github.com/google/leveldb/blob/main/doc/log_format.md);
the records in it are protocol buffers that the package wandb brings the classes for.
"""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError, require

TOLD = "events_told"
"""Entry of the summary: number of the last event before which everything was told."""
_HEAD = b":W&B\xe1\xbe\x00"
_BLOCK = 32768
_CHUNK_HEAD = 7
_ENDS = (1, 4)
"""Kinds of a chunk that ends a record: a whole record in one chunk, or the last chunk of several."""


def find_files(folder: Path, key: str) -> list[Path]:
    """The offline files of a run.

    Args:
        folder: Folder that holds one folder a session.
        key: Id of the run.
    """
    return sorted(folder.glob(f"offline-run-*-{key}*/run-{key}.wandb"))


@dataclass(frozen=True)
class Progress:
    """How far the local files of a run go.

    Attributes:
        step: Highest number of a row of the history; -1 when there is none.
        told: Number of the last event before which everything is there; -1 when nothing is.
    """

    step: int = -1
    told: int = -1


def read_progress(files: list[Path]) -> Progress:
    """How far some files of one run go.

    Args:
        files: Their paths.

    Raises:
        ArtifactError: A file cannot be read or is none of Weights & Biases.
        MissingDependencyError: The package wandb is not installed.
    """
    steps, told = [-1], [-1]
    for file in files:
        for record in read_records(file):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                steps.append(int(_read_row(record)["_step"]))
            elif kind == "summary":
                told += [int(item.value_json) for item in record.summary.update if item.key == TOLD]
    return Progress(max(steps), max(told))


def read_history(file: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of the history of a file, in its order: name -> value, a picture or page as a group of facts.

    Args:
        file: A file `run-KEY.wandb`.

    Raises:
        ArtifactError: It cannot be read or is none of Weights & Biases.
        MissingDependencyError: The package wandb is not installed.
    """
    for record in read_records(file):
        if record.WhichOneof("record_type") == "history":
            yield _read_row(record)


def _read_row(record: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in record.history.item:
        *groups, name = item.nested_key or [item.key]
        place = row
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = json.loads(item.value_json)
    return row


def read_records(file: Path) -> Iterator[Any]:
    """Yields the records of a file as messages `wandb_internal_pb2.Record`; one that is not whole yet is left out.

    Args:
        file: A file `run-KEY.wandb`.

    Raises:
        ArtifactError: It cannot be read or is none of Weights & Biases.
        MissingDependencyError: The package wandb is not installed.
    """
    require("wandb")
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")
    failure = importlib.import_module("google.protobuf.message").DecodeError
    for data in _read_chunks(file):
        record = messages.Record()
        try:
            record.ParseFromString(data)
        except failure as error:
            message = f"{str(file)!r} is damaged ({error}): move its folder away, and tell the run again."
            raise ArtifactError(message) from error
        yield record


def _read_chunks(file: Path) -> Iterator[bytes]:
    try:
        content = file.read_bytes()
    except OSError as error:
        message = f"{str(file)!r} cannot be read ({error.strerror or error}): check its permissions."
        raise ArtifactError(message) from error
    if not content.startswith(_HEAD[: len(content)]):
        message = f"{str(file)!r} is no file of Weights & Biases that this version can read: move its folder away."
        raise ArtifactError(message)
    place, record = len(_HEAD), b""
    while place + _CHUNK_HEAD <= len(content):
        rest = _BLOCK - place % _BLOCK
        if rest < _CHUNK_HEAD:
            place += rest
            continue
        size = int.from_bytes(content[place + 4 : place + 6], "little")
        kind = content[place + 6]
        start = place + _CHUNK_HEAD
        place = start + size
        if place > len(content):
            return
        record += content[start:place]
        if kind in _ENDS:
            yield record
            record = b""
