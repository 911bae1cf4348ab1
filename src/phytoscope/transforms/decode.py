"""From a file's bytes to upright 8-bit RGB pixels, the same way everywhere, with a reason when it cannot be done."""

import contextlib
import io
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from phytoscope.errors import ImageReadError, PlaceFaultError
from phytoscope.storage.place import as_url
from phytoscope.storage.reading import read_place

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
# What stands at the beginning of the photographs of newer phones.
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif")
_WHITE = (255, 255, 255, 255)
_EXIF_DETAILS = 0x8769
_SIDEWAYS = (5, 6, 7, 8)
# Orientations by which the file's left side becomes the right one, and its upper side the lower one.
_FROM_THE_RIGHT, _FROM_BELOW = (2, 3, 6, 7), (3, 4, 7, 8)
_PILLOW = threading.Lock()
# What Pillow raises on damaged content, beyond its own errors.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    MemoryError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class ImageTooLargeError(ImageReadError):
    """One image has more pixels than are allowed.

    Attributes:
        size: Width and height in words.
    """

    def __init__(self, path: str, size: str, max_megapixels: float) -> None:
        self.size = size
        reason = f"{size} are more than the limit of {max_megapixels:g} megapixels (data.max_megapixels)"
        super().__init__(path, reason)


@dataclass(frozen=True)
class DecodedImage:
    """One picture with what its file says of it.

    Attributes:
        pixels: Shape (H, W, 3), uint8, RGB, 0-255, upright; smaller than the original where that was allowed.
        width_px: Width of the upright original.
        height_px: Height of the upright original.
        box: Where the original lies in `pixels`: left, top, right and lower edge. All of them, but that the last pixels
            of a reduced picture may lie partly outside, because the sides of the original are not divisible.
        format: Format of the content, for example JPEG.
        mode: Pillow's name of the pixels in the file, for example RGB, L, RGBA or CMYK.
        exif: The camera's record; empty when there is none.
    """

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int
    box: tuple[float, float, float, float]
    format: str
    mode: str
    exif: Image.Exif


def decode_image(content: bytes, *, name: str, max_megapixels: float) -> NDArray[np.uint8]:
    """Decodes one image.

    The EXIF orientation is applied, 16-bit values are scaled to 8 bits, grey and CMYK become RGB, and transparent
    pixels are shown on white. The size is checked in the header, before anything is decoded.

    Args:
        content: The file's bytes.
        name: What to call the image in an error.
        max_megapixels: Larger images are refused.

    Returns:
        Pixels of shape (H, W, 3), uint8, RGB, 0-255.

    Raises:
        ImageReadError: The bytes are empty, truncated, not an image, too large or of a kind that cannot be shown.
    """
    return decode_with_facts(content, name=name, max_megapixels=max_megapixels, least_px=None).pixels


def decode_with_facts(
    content: bytes, *, name: str, max_megapixels: float, least_px: int | Callable[[int, int], int] | None
) -> DecodedImage:
    """Decodes one image as `decode_image` does, large JPEGs at a half, a quarter or an eighth of their size on request.

    All of the file is read and checked whatever the size: what `decode_image` refuses is refused here.

    Args:
        content: The file's bytes.
        name: What to call the image in an error.
        max_megapixels: Larger images are refused.
        least_px: A reduced picture has at least this many pixels on its shorter side, or what a function makes of the
            two sides of the file's picture, which may be lying on its side; None keeps all pixels.

    Raises:
        ImageTooLargeError: It has more pixels than are allowed.
        ImageReadError: The bytes are empty, truncated, not an image, too large or of a kind that cannot be shown.
    """
    if not content:
        raise ImageReadError(name, "the file is empty (0 bytes)")
    try:
        image = _open(content)
        if image.width * image.height / 1e6 > max_megapixels:
            size = f"{image.width} x {image.height} pixels"
            raise ImageTooLargeError(name, size, max_megapixels)
        image_format, mode, (width, height) = image.format or "", image.mode, image.size
        if least_px is not None:
            least = least_px if isinstance(least_px, int) else least_px(width, height)
            image.draft(None, (least, least))
        image.load()
        exif = _read_exif(image)
        pixels = _to_rgb(image, name)
        box = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        if image.size == (width, height):
            height, width = pixels.shape[:2]
        else:
            orientation = exif.get(ExifTags.Base.Orientation)
            # Only so many fit into the reduced sides, which are rounded up.
            factor = next(one for one in (2, 4, 8) if image.size == (-(-width // one), -(-height // one)))
            if orientation in _SIDEWAYS:
                width, height = height, width
            box = _find_box(pixels.shape, width / factor, height / factor, orientation)
        return DecodedImage(pixels, width, height, box, image_format, mode, exif)
    except ImageReadError:
        raise
    except UnidentifiedImageError as error:
        reason = f"the content is not an image in a known format ({', '.join(_FORMATS)})"
        if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
            reason = "HEIC and AVIF are not read: save it as JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
        raise ImageReadError(name, reason) from error
    except _DAMAGE as error:
        text = " ".join(str(error).split())
        reason = (
            "the file is truncated"
            if "truncated" in text.lower()
            else f"the image is damaged ({text or type(error).__name__})"
        )
        raise ImageReadError(name, reason) from error


def _find_box(
    shape: tuple[int, ...], width: float, height: float, orientation: int | None
) -> tuple[float, float, float, float]:
    # What the last pixels hold beyond the picture comes first where the picture was turned.
    left = shape[1] - width if orientation in _FROM_THE_RIGHT else 0.0
    top = shape[0] - height if orientation in _FROM_BELOW else 0.0
    return left, top, left + width, top + height


def _read_exif(image: Image.Image) -> Image.Exif:
    with _quiet_pillow():
        exif = image.getexif()
        if len(exif):
            # Read here because it warns, too; Pillow keeps it. Damaged details are no reason to refuse the picture.
            with contextlib.suppress(*_DAMAGE):
                exif.get_ifd(_EXIF_DETAILS)
    return exif


def _open(content: bytes) -> Image.Image:
    # Pillow loads the plugins of the rarer formats only when told to, and the first open() asks for them by name.
    Image.init()
    with _quiet_pillow():
        # Pillow's own limit would overrule a larger one of ours, and warn below it; only the header is read meanwhile.
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(content), formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    # Pillow warns of damaged camera notes that nobody needs, without naming the file.
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _to_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    if image.mode == "RGB" and "transparency" not in image.info and ExifTags.Base.Orientation not in image.getexif():
        return np.array(image)
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        values = np.asarray(upright).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageReadError(name, f"pixel values from {values.min()} to {values.max()} do not fit 16 bits")
        grey = (values // 257).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if upright.mode == "F":
        raise ImageReadError(name, "pixels are floating-point numbers without a known range; save it with 8 or 16 bits")
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba)
    return np.array(upright.convert("RGB"))


def read_decoder_versions() -> dict[str, str | None]:
    """Versions of what decides the pixels of a lossy file: another decoder gives other pixels."""
    codecs = {name: features.version(name) for name in ("libjpeg_turbo", "jpg", "webp", "libtiff")}
    return {"pillow": pillow_version, **codecs}


def read_bytes(path: Path | str) -> bytes:
    """Reads a file that should be an image.

    Args:
        path: Path or address such as `s3://bucket/leaf.jpg`; that a path has lost one of the two slashes does not
            matter.

    Raises:
        ImageReadError: The file is missing, a folder, or cannot be opened.
        StorageError: The store of an address cannot be reached, or refuses: the image is not at fault.
        MissingDependencyError: The library of that store is not installed.
    """
    url = as_url(path)
    if url is not None:
        try:
            return read_place(url)
        except PlaceFaultError as error:
            raise ImageReadError(url, error.reason) from error
    path = Path(path)
    try:
        # Reading a named pipe would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ImageReadError(str(path), "this is not a regular file")
        return path.read_bytes()
    except ImageReadError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(str(path), "the file does not exist") from error
    except IsADirectoryError as error:
        raise ImageReadError(str(path), "this is a folder, not a file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageReadError(str(path), f"the file cannot be opened ({reason})") from error
    except MemoryError as error:
        raise ImageReadError(str(path), "the file does not fit into the memory") from error


def read_image(path: Path, *, max_megapixels: float) -> NDArray[np.uint8]:
    """Reads and decodes one image file; see `decode_image`.

    Returns:
        Pixels of shape (H, W, 3), uint8, RGB, 0-255.

    Raises:
        ImageReadError: The file cannot be opened or decoded.
    """
    return decode_image(read_bytes(path), name=str(path), max_megapixels=max_megapixels)
