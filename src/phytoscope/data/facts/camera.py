"""What the camera recorded beside the pixels: time, orientation, make and model."""

import re
from typing import Any

from PIL import ExifTags, Image

from phytoscope.schema.image_facts import CAMERA, EXIF_ORIENTATION, EXIF_TIME

_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ORIENTATIONS = range(1, 9)


def read_camera(exif: Image.Exif) -> dict[str, Any]:
    """Takes the columns `exif_time`, `exif_orientation` and `camera` from a camera's record, which may be empty."""
    if len(exif) == 0:
        return {EXIF_TIME: None, EXIF_ORIENTATION: 0, CAMERA: ""}
    details = exif.get_ifd(ExifTags.IFD.Exif)
    taken = _time(details.get(ExifTags.Base.DateTimeOriginal)) or _time(exif.get(ExifTags.Base.DateTime))
    orientation = exif.get(ExifTags.Base.Orientation)
    names = [_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    # Most models begin with the name of the make.
    make = "" if names[1].startswith(names[0]) else names[0]
    return {
        EXIF_TIME: taken,
        EXIF_ORIENTATION: orientation if orientation in _ORIENTATIONS else 0,
        CAMERA: f"{make} {names[1]}".strip(),
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())[:100]


def _time(value: object) -> str | None:
    match = _TIME.search(value) if isinstance(value, str) else None
    if match is None or match[1] == "0000":
        return None
    year, month, day, hour, minute, second = match.groups()
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}"
