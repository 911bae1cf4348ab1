"""A photograph without what the camera and people noted in it: place, time, names, texts, previews.

Pixels are not encoded again where the format allows it, and the photograph stays upright. JPEG: ITU T.81; PNG: W3C PNG
third edition; WebP: RFC 9649; orientation: Exif 2.32, tag 0x0112.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import Image

from phytoscope.errors import ImageReadError
from phytoscope.transforms.decode import decode_image

_NAME: Final = "photograph"
_MOST_MEGAPIXELS: Final = 1000.0
_UPRIGHT: Final = 1
_EXIF, _XMP = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_ORIENTATION: Final = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"gAMA", b"cHRM", b"sRGB", b"sBIT")
_PNG_XMP: Final = b"XML:com.adobe.xmp\x00"
_WEBP_KEPT: Final = (b"VP8 ", b"VP8L", b"ALPH")
_WEBP_ALPHA, _WEBP_EXIF = 0x10, 0x08
# JPEG markers: those without a length, the end, the start of coded pixels, what applications wrote, comments.
_BARE_MARKERS: Final = (0x01, *range(0xD0, 0xD9))
_EOI, _SOS, _APP0, _APP1, _APP14, _APP15, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
# Restart markers belong to the pixels.
_NEXT_MARKER: Final = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")


def make_bare(content: bytes) -> tuple[bytes, str]:
    """Takes out everything but the picture.

    Args:
        content: A file's bytes.

    Returns:
        The bare file, and its extension: `.jpg`, `.png` and `.webp` files stay what they are, others become `.png`.

    Raises:
        ImageReadError: The file is damaged or no image.
    """
    try:
        if content.startswith(b"\xff\xd8"):
            return _bare_jpeg(content), ".jpg"
        if content.startswith(_PNG_SIGNATURE):
            bare = _bare_png(content)
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            webp = _bare_webp(content)
            if webp is not None:
                return webp, ".webp"
            bare = None
        else:
            bare = None
    except (struct.error, IndexError) as error:
        raise ImageReadError(_NAME, "the file is truncated") from error
    return _encode(content) if bare is None else bare, ".png"


def read_orientation(exif: bytes) -> int:
    """Orientation in a camera's record, 1-8; 1 (upright) when it says nothing or nonsense.

    Args:
        exif: The record, which begins with the byte order (`II` or `MM`).
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return _UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * entry)
            if tag == 0x0112 and kind == 3:
                return value if 1 <= value <= 8 else _UPRIGHT
    except struct.error:
        return _UPRIGHT
    return _UPRIGHT


def _orientation_only(orientation: int) -> bytes:
    """A camera's record that holds nothing but the orientation."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _find_orientation(exif: bytes, xmp: bytes) -> int:
    found = read_orientation(exif)
    if found == _UPRIGHT and (words := _XMP_ORIENTATION.search(xmp)):
        return int(words[1])
    return found


def _encode(content: bytes) -> bytes:
    pixels = decode_image(content, name=_NAME, max_megapixels=_MOST_MEGAPIXELS)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def _bare_jpeg(content: bytes) -> bytes:
    kept: list[bytes] = []
    exif = xmp = b""
    for marker, segment in _iterate_jpeg(content):
        body = segment[4:]
        if marker == _APP1 and body.startswith(_EXIF) and not exif:
            exif = body[len(_EXIF) :]
        elif marker == _APP1 and body.startswith(_XMP):
            xmp += body
        # The file's kind and its colours are told by the plain JFIF and Adobe segments, without a preview in them.
        is_plain = (marker == _APP0 and body.startswith(b"JFIF\x00")) or (marker == _APP14 and body[:5] == b"Adobe")
        if is_plain and marker == _APP0:
            kept.append(b"\xff\xe0\x00\x10" + body[:12] + b"\x00\x00")
        elif is_plain or not (_APP0 <= marker <= _APP15 or marker == _COM):
            kept.append(segment)
    orientation = _find_orientation(exif, xmp)
    if orientation != _UPRIGHT:
        record = _EXIF + _orientation_only(orientation)
        place = 1 if kept and kept[0][1] == _APP0 else 0
        kept.insert(place, b"\xff\xe1" + struct.pack(">H", len(record) + 2) + record)
    return b"\xff\xd8" + b"".join(kept) + b"\xff\xd9"


def _iterate_jpeg(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Segments after the start, each with the coded pixels behind it; what comes after the end is left out."""
    place = 2
    while True:
        while content[place] == 0xFF and content[place + 1] == 0xFF:
            place += 1
        if content[place] != 0xFF:
            raise ImageReadError(_NAME, "the image is damaged (a marker is missing)")
        marker = content[place + 1]
        if marker == _EOI:
            return
        if marker in _BARE_MARKERS:
            end = place + 2
        else:
            end = place + 2 + struct.unpack_from(">H", content, place + 2)[0]
            if end > len(content):
                raise ImageReadError(_NAME, "the file is truncated")
        if marker == _SOS:
            end = _end_of_scan(content, end)
        yield marker, content[place:end]
        place = end


def _end_of_scan(content: bytes, start: int) -> int:
    found = _NEXT_MARKER.search(content, start)
    if found is None:
        raise ImageReadError(_NAME, "the file is truncated")
    return found.start()


def _bare_png(content: bytes) -> bytes | None:
    kept: list[bytes] = []
    exif = xmp = b""
    for kind, body, chunk in _iterate_png(content):
        if kind == b"eXIf":
            exif = body
        elif kind == b"iTXt" and body.startswith(_PNG_XMP):
            if body[len(_PNG_XMP) : len(_PNG_XMP) + 1] != b"\x00":
                return None
            xmp = body
        elif kind in (b"zTXt", b"tEXt") and body.startswith(b"Raw profile type exif"):
            # An old way to keep the camera's record, in which the orientation would have to be looked for.
            return None
        if kind in _PNG_KEPT:
            kept.append(chunk)
    orientation = _find_orientation(exif, xmp)
    if orientation != _UPRIGHT:
        body = b"eXIf" + _orientation_only(orientation)
        kept.insert(1, struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return _PNG_SIGNATURE + b"".join(kept) + end


def _iterate_png(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    place = len(_PNG_SIGNATURE)
    while True:
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"IEND":
            return
        end = place + 12 + length
        if end > len(content):
            raise ImageReadError(_NAME, "the file is truncated")
        yield kind, content[place + 8 : end - 4], content[place:end]
        place = end


def _bare_webp(content: bytes) -> bytes | None:
    (size,) = struct.unpack_from("<I", content, 4)
    if size + 8 > len(content):
        raise ImageReadError(_NAME, "the file is truncated")
    place, kept, head = 12, [], b""
    exif = xmp = b""
    while place + 8 <= size + 8:
        kind, length = struct.unpack_from("<4sI", content, place)
        body = content[place + 8 : place + 8 + length]
        if kind == b"VP8X":
            head = body
        elif kind == b"EXIF":
            exif = body.removeprefix(_EXIF)
        elif kind == b"XMP ":
            xmp = body
        elif kind in (b"ANIM", b"ANMF"):
            return None
        elif kind in _WEBP_KEPT:
            kept.append(_pack_webp(kind, body))
        place += 8 + length + length % 2
    orientation = _find_orientation(exif, xmp)
    if head:
        flags = (head[0] & _WEBP_ALPHA) | (_WEBP_EXIF if orientation != _UPRIGHT else 0)
        kept.insert(0, _pack_webp(b"VP8X", bytes([flags]) + head[1:]))
        if orientation != _UPRIGHT:
            kept.append(_pack_webp(b"EXIF", _orientation_only(orientation)))
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _pack_webp(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
