"""Small images whose pixels are known, and image files with one named fault each."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIX_OF_FORMAT = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp"}


def make_pixels(height=12, width=16, seed=0):
    """Draw a smooth coloured picture, shape (height, width, 3), uint8, different for every seed."""
    rng = np.random.default_rng(seed)
    start, slope = rng.integers(30, 120, 3), rng.integers(20, 100, 3)
    along = np.linspace(0, 1, width)[None, :, None] * np.linspace(0.3, 1, height)[:, None, None]
    return (start + slope * along).astype(np.uint8)


def encode(image, image_format="PNG", **options):
    """Return the bytes of a picture given as pixels or as a Pillow image."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def write_image(path, seed=0, height=12, width=16, image_format=None):
    """Write a drawn picture, with parent folders; the format follows the suffix unless it is named."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    by_suffix = {".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".webp": "WEBP"}
    path.write_bytes(
        encode(make_pixels(height, width, seed), image_format or by_suffix.get(path.suffix.lower(), "PNG"))
    )
    return path


def _png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def encode_png(rows, *, bits, colour_type):
    """Return a PNG of any depth, written by hand because Pillow writes no 16-bit colour.

    Args:
        rows: Shape (H, W) or (H, W, channels), integers that fit `bits`.
        bits: 8 or 16.
        colour_type: PNG's number: 0 grey, 2 colour, 4 grey and alpha, 6 colour and alpha.
    """
    rows = np.asarray(rows)
    height, width = rows.shape[:2]
    scanlines = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, content) for kind, content in parts)


def claim_size(width, height):
    """Return a tiny PNG whose header claims another size: decoding it would need width x height pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, content) for kind, content in parts)


def broken_files():
    """Fault -> (bytes, text that its reason must hold); each file has exactly this fault."""
    jpeg, png = encode(make_pixels(64, 64), "JPEG"), encode(make_pixels(64, 64))
    gif = io.BytesIO()
    Image.fromarray(make_pixels()).save(gif, "GIF")
    return {
        "zero_byte": (b"", "empty (0 bytes)"),
        "truncated_jpeg": (jpeg[: len(jpeg) // 2], "truncated"),
        "truncated_png": (png[: len(png) // 2], "truncated"),
        "text_renamed": (b"this is no picture\n" * 20, "not an image in a known format"),
        "gif": (gif.getvalue(), "not an image in a known format"),
        "one_byte": (b"\xff", "not an image in a known format"),
        "header_only": (jpeg[:20], ""),
        "huge": (claim_size(20_000, 20_000), "20000 x 20000 pixels are more than the limit of 100 megapixels"),
        "float_tiff": (encode(Image.new("F", (4, 4), 0.5), "TIFF"), "floating-point"),
    }
