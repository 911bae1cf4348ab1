"""From a file's bytes to upright 8-bit RGB pixels, the same way everywhere, with a reason when it cannot be done."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from phytoscope.errors import ImageReadError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_WHITE = (255, 255, 255, 255)


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
    if not content:
        raise ImageReadError(name, "the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            # Pillow warns above its own limit; ours is checked two lines below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Pillow loads the plugins of the rarer formats only when told to, and the first open() asks for them by name.
            Image.init()
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
        megapixels = image.width * image.height / 1e6
        if megapixels > max_megapixels:
            raise ImageReadError(name, _too_large(f"{image.width} x {image.height} pixels", max_megapixels))
        image.load()
        return _to_rgb(image, name)
    except Image.DecompressionBombError as error:
        raise ImageReadError(name, _too_large("the image", max_megapixels)) from error
    except UnidentifiedImageError as error:
        reason = f"the content is not an image in a known format ({', '.join(_FORMATS)})"
        raise ImageReadError(name, reason) from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, ImageReadError):
            raise
        text = str(error)
        reason = (
            "the file is truncated" if "truncated" in text else f"the image is damaged ({text or type(error).__name__})"
        )
        raise ImageReadError(name, reason) from error


def _too_large(what: str, max_megapixels: float) -> str:
    return f"{what} are more than the limit of {max_megapixels:g} megapixels (data.max_megapixels)"


def _to_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
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


def read_bytes(path: Path) -> bytes:
    """Reads a file that should be an image.

    Raises:
        ImageReadError: The file is missing, a folder, or cannot be opened.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageReadError(str(path), "the file does not exist") from error
    except IsADirectoryError as error:
        raise ImageReadError(str(path), "this is a folder, not a file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageReadError(str(path), f"the file cannot be opened ({reason})") from error


def read_image(path: Path, *, max_megapixels: float) -> NDArray[np.uint8]:
    """Reads and decodes one image file; see `decode_image`.

    Returns:
        Pixels of shape (H, W, 3), uint8, RGB, 0-255.

    Raises:
        ImageReadError: The file cannot be opened or decoded.
    """
    return decode_image(read_bytes(path), name=str(path), max_megapixels=max_megapixels)
