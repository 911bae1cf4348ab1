"""Feeds the image decoder with bytes of all formats that it reads, changed in every way."""

import io
import logging
import sys
import warnings
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["phytoscope.transforms", "PIL"]):
    from PIL import Image

    from phytoscope.errors import ImageReadError
    from phytoscope.schema.choices import ResizeMode
    from phytoscope.transforms.decode import decode_image, decode_with_facts
    from phytoscope.transforms.photo import read_photo
    from phytoscope.transforms.preprocess import Preprocess

_MOST_MEGAPIXELS = 2.0
_NETWORK = Preprocess(
    32, ResizeMode.crop, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), max_megapixels=_MOST_MEGAPIXELS
)


def main() -> None:
    """Runs until the time is over; arguments are those of libFuzzer, the first folder keeps what reached new code."""
    logging.disable(logging.CRITICAL)
    # Nobody reads them here; that no warning escapes the decoder is a matter of the tests.
    warnings.simplefilter("ignore")
    for folder in (Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")):
        if folder.is_dir():
            _write_seeds(folder)
    atheris.Setup(sys.argv, try_image)
    atheris.Fuzz()


def try_image(data: bytes) -> None:
    """Decodes one image in all ways; anything but pixels of the right shape or `ImageReadError` is a finding."""
    try:
        pixels = decode_image(data, name="x", max_megapixels=_MOST_MEGAPIXELS)
    except ImageReadError:
        pixels = None
    if pixels is not None:
        fits = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
        if not fits or pixels.shape[0] * pixels.shape[1] > _MOST_MEGAPIXELS * 1e6:
            message = f"pixels of shape {pixels.shape}, {pixels.dtype}"
            raise RuntimeError(message)
    try:
        facts = decode_with_facts(data, name="x", max_megapixels=_MOST_MEGAPIXELS, least_px=32)
        photo = read_photo(data, _NETWORK, "x", measured=True)
    except ImageReadError:
        return
    if pixels is None or (facts.width_px, facts.height_px) != (pixels.shape[1], pixels.shape[0]):
        message = "what one way of reading refuses or measures, another one takes or measures otherwise"
        raise RuntimeError(message)
    if photo.square.shape != (32, 32, 3) or not all(np.isfinite(value) for value in photo.measures.values()):
        message = f"a square of shape {photo.square.shape} with measures {photo.measures}"
        raise RuntimeError(message)


def _write_seeds(folder: Path) -> None:
    """Small pictures in every format, mode and packing that the decoder reads."""
    rng = np.random.default_rng(0)
    for mode in ("RGB", "L", "RGBA", "CMYK", "P", "LA", "I;16", "1"):
        size = (40, 24)
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        exif = Image.Exif()
        exif[0x0112] = 6
        for kind, options in (
            ("JPEG", {"exif": exif}),
            ("JPEG", {"progressive": True, "optimize": True}),
            ("PNG", {}),
            ("BMP", {}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {"compression": "tiff_deflate"}),
            ("WEBP", {"lossless": True}),
            ("WEBP", {"exif": exif}),
        ):
            stream = io.BytesIO()
            try:
                picture.save(stream, kind, **options)
            except (OSError, ValueError, KeyError):
                continue
            name = f"{mode.replace(';', '')}-{kind}-{len(options)}-{'-'.join(map(str, options))}"
            (folder / name).write_bytes(stream.getvalue())


if __name__ == "__main__":
    main()
