"""Files that pretend to be photographs, and photographs that want too much."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_photo(seed=0, side=40, kind="JPEG"):
    """A small photograph, as the bytes of a file."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, 3) * np.ones((side, side + 8, 1)) + rng.normal(0, 20, (side, side + 8, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _deflate_zeros(count):
    """So many zeros as a zlib stream, put together from one block, because packing gigabytes takes its time."""
    size = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15)
    last = end.compress(bytes(count % size)) + end.flush()
    return b"\x78\xda" + block * (count // size) + last + struct.pack(">HH", count % 65521, 1)


def draw_png(width, height, *, held=None, depth=1, further=b""):
    """A PNG of zeros, one bit a pixel.

    Args:
        width: Width that its header tells.
        height: Height that its header tells.
        held: Bytes that its data unpack to; what the size needs when None.
        depth: Bits a pixel.
        further: Chunks between header and data.
    """
    raw = height * (1 + (width * depth + 7) // 8) if held is None else held
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return SIGNATURE + header + further + _chunk(b"IDAT", _deflate_zeros(raw)) + _chunk(b"IEND", b"")


def draw_greedy_files():
    """Name -> bytes of a file that holds far more than it shows; it may be answered or refused."""
    text = _chunk(b"zTXt", b"Comment\0\0" + _deflate_zeros(100_000_000))
    profile = _chunk(b"iCCP", b"profile\0\0" + _deflate_zeros(100_000_000))
    return {
        "PNG of 64 x 64 that holds 300 MB": draw_png(64, 64, held=300_000_000),
        "PNG with a packed text of 100 MB": draw_png(64, 64, further=text),
        "PNG with a packed profile of 100 MB": draw_png(64, 64, further=profile),
        "PNG as large as is allowed": draw_png(4000, 4000),
    }


def draw_hostile_files():
    """Name -> bytes of a file that cannot be answered with a prediction."""
    photo = encode_photo(1, side=200)
    start = photo.index(b"\xff\xc0")
    wide = bytearray(photo)
    wide[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    tiff = io.BytesIO()
    Image.new("L", (64, 64)).save(tiff, "TIFF")
    lying = bytearray(tiff.getvalue())
    struct.pack_into("<I", lying, lying.index(struct.pack("<HHI", 256, 4, 1)) + 8, 60_000)
    gif = io.BytesIO()
    Image.new("L", (8, 8)).save(gif, "GIF")
    return {
        "PNG of 50,000 x 50,000": draw_png(50_000, 50_000),
        "PNG whose header tells a large size and that holds little": draw_png(60_000, 60_000, held=64),
        "JPEG that tells 65,535 x 65,535": bytes(wide),
        "JPEG cut in the middle": photo[: len(photo) // 2],
        "JPEG of its first bytes": photo[:20],
        "TIFF that tells a width of 60,000": bytes(lying),
        "GIF": gif.getvalue(),
        "web page": b"<!doctype html><script>alert(1)</script>",
        "zeros": bytes(5000),
        "noise": np.random.default_rng(0).bytes(5000),
        "SVG that reads a file": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    }
