"""Photographs on their way to a service: read, named, and put together into requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from phytoscope.errors import ConfigError, ImageReadError

Photograph = Path | str | bytes
_OVERHEAD: Final = 2000
"""Bytes of a form around one file, at most."""


@dataclass(frozen=True)
class Sending:
    """One photograph to send.

    Attributes:
        name: What the answer will call it: the file's name without its folders.
        source: Where it is, or its bytes.
        size: Bytes of it.
        covariates: What is known beside it.
    """

    name: str
    source: Path | bytes
    size: int
    covariates: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            ImageReadError: The file cannot be read any more.
        """
        if isinstance(self.source, bytes):
            return self.source
        try:
            return self.source.read_bytes()
        except OSError as error:
            raise ImageReadError(str(self.source), error.strerror or str(error)) from error


def list_photos(
    photos: Photograph | Sequence[Photograph],
    covariates: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
) -> list[Sending]:
    """Looks what is to be sent.

    Args:
        photos: Path or bytes of one photograph, or a list of them.
        covariates: What is known beside them: one dictionary for all, or a list with one each.

    Raises:
        ConfigError: There are not as many covariates as photographs, or something is no photograph.
        ImageReadError: A file does not exist.
    """
    listed = [photos] if isinstance(photos, str | bytes | Path) else list(photos)
    if covariates is None or isinstance(covariates, Mapping):
        known: list[Mapping[str, Any]] = [covariates or {}] * len(listed)
    else:
        known = list(covariates)
    if len(known) != len(listed):
        message = (
            f"covariates are given for {len(known)} photographs, but there are {len(listed)}: give one dictionary for "
            "all, or a list with one for each."
        )
        raise ConfigError(message)
    return [_look(photo, place, facts) for place, (photo, facts) in enumerate(zip(listed, known, strict=True))]


def group_photos(photos: Sequence[Sending], max_files: int, max_mb: float) -> Iterator[list[int]]:
    """Places of photographs that go into one request together, in their order.

    Args:
        photos: All of them.
        max_files: Photographs that one request may hold.
        max_mb: Megabytes that it may hold; a photograph that is larger goes alone, and the service says what it thinks.
    """
    group: list[int] = []
    size = 0
    for place, photo in enumerate(photos):
        more = photo.size + _OVERHEAD
        if group and (len(group) >= max_files or size + more > max_mb * 1e6):
            yield group
            group, size = [], 0
        group.append(place)
        size += more
    if group:
        yield group


def _look(photo: object, place: int, covariates: Mapping[str, Any]) -> Sending:
    if isinstance(photo, bytes):
        return Sending(f"image {place + 1}", photo, len(photo), covariates)
    if not isinstance(photo, str | Path):
        message = f"photograph {place + 1} is of the type {type(photo).__name__}: give its path or its bytes."
        raise ConfigError(message)
    path = Path(photo)
    if path.is_dir():
        message = f"{str(path)!r} is a folder: give its files, for example sorted(Path({str(path)!r}).glob('*.jpg'))."
        raise ConfigError(message)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ImageReadError(str(path), error.strerror or str(error)) from error
    return Sending(path.name, path, size, covariates)
