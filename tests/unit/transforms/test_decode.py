"""Whatever a camera or a scanner wrote becomes upright 8-bit RGB, or a reason why not."""

import io
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factories.images import broken_files, claim_size, encode, encode_png, make_pixels
from phytoscope.errors import ImageReadError
from phytoscope.transforms.decode import ImageTooLargeError, decode_image, decode_with_facts, read_bytes, read_image

BROKEN = broken_files()
INTACT = {name: encode(make_pixels(24, 24), name) for name in ("JPEG", "PNG", "BMP", "TIFF", "WEBP")}


def decode(content, max_megapixels=100.0):
    return decode_image(content, name="x.jpg", max_megapixels=max_megapixels)


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_file_gives_its_reason(fault):
    """Each fault has words of its own, on one line."""
    content, text = BROKEN[fault]
    with pytest.raises(ImageReadError, match=r"cannot read the image 'x\.jpg'") as caught:
        decode(content)
    assert text in caught.value.reason
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_their_pixels(image_format):
    """What was saved without loss comes back bit for bit."""
    pixels = make_pixels()
    assert np.array_equal(decode(encode(pixels, image_format)), pixels)


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP"])
def test_lossy_formats_give_nearly_their_pixels(image_format):
    """What was saved with loss looks the same."""
    pixels = make_pixels(32, 48)
    assert np.abs(decode(encode(pixels, image_format, quality=95)).astype(int) - pixels).max() < 20


def test_cmyk_becomes_rgb():
    """A JPEG for printing keeps its colours."""
    pixels = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    content = encode(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(content).astype(int) - pixels).max() < 12


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_exactly(image_format):
    """0 stays 0, 65535 becomes 255, and steps of 257 become steps of 1."""
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    decoded = decode(encode(Image.fromarray(values), image_format))
    assert np.array_equal(decoded, np.repeat((values // 257)[..., None], 3, axis=2))


def test_big_endian_16_bit_tiff_is_read_the_right_way_round():
    """Bytes in the other order give the same picture."""
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    image = Image.frombytes("I;16B", (16, 16), values.astype(">u2").tobytes())
    assert np.array_equal(decode(encode(image, "TIFF"))[..., 0], values // 257)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)])
def test_16_bit_colour_is_scaled(colour_type, channels):
    """16-bit colour PNGs come out within one level of the exact value."""
    values = np.full((4, 4, channels), 65535, dtype=np.uint16)
    values[..., :3] = (1000, 30000, 65535)
    decoded = decode(encode_png(values, bits=16, colour_type=colour_type))
    assert np.abs(decoded[0, 0].astype(int) - np.array([1000, 30000, 65535]) // 257).max() <= 1


def test_numbers_beyond_16_bits_are_refused():
    """Nobody knows which value would be white."""
    with pytest.raises(ImageReadError, match="from 5 to 70000 do not fit 16 bits"):
        decode(encode(Image.fromarray(np.array([[5, 70000]], dtype=np.int32)), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_mode_becomes_rgb(mode):
    """Grey, black-and-white and palette pictures have three channels afterwards."""
    decoded = decode(encode(Image.fromarray(make_pixels()).convert(mode)))
    assert (decoded.shape, decoded.dtype) == ((12, 16, 3), np.uint8)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_white(mode):
    """Where nothing was drawn, the paper shows."""
    image = Image.new(mode, (4, 4), 0)
    assert (decode(encode(image)) == 255).all()


@pytest.mark.parametrize("mode", ["P", "L", "1", "RGB"])
def test_transparent_colour_is_white(mode):
    """One colour of the picture can be declared transparent, too."""
    image = Image.new("RGB", (4, 4), (0, 0, 0)).convert(mode)
    transparent = (0, 0, 0) if mode == "RGB" else 0
    assert (decode(encode(image, transparency=transparent)) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    """The picture stands upright whatever way the camera was held."""
    upright = Image.fromarray(make_pixels(10, 20))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(decode(encode(stored, "PNG", exif=exif.tobytes())), np.array(upright))


def test_first_picture_of_a_multi_picture_file_is_taken():
    """Phones put a second picture behind the first one."""
    first, second = Image.fromarray(make_pixels(16, 16, 1)), Image.fromarray(make_pixels(16, 16, 2))
    content = encode(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(decode(content).astype(int) - np.array(first)).max() < 20


def test_huge_image_is_refused_before_it_is_decoded():
    """The size is read in the header: a bomb costs no memory."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    tracemalloc.start()
    with pytest.raises(ImageTooLargeError, match=r"limit of 100 megapixels \(data.max_megapixels\)"):
        decode(buffer.getvalue())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_limit_is_ours_and_not_the_librarys():
    """A raised limit counts, above Pillow's own too, and Pillow's is as it was afterwards."""
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageReadError, match="limit of 399 megapixels"):
        decode(claim_size(20_000, 20_000), max_megapixels=399)
    # Enough pixels are allowed now, so the next thing found is that they are not there.
    with pytest.raises(ImageReadError, match=r"truncated|damaged"):
        decode(claim_size(20_000, 20_000), max_megapixels=401)
    assert before == Image.MAX_IMAGE_PIXELS


def test_limit_counts_pixels_exactly():
    """An image of exactly the limit is welcome."""
    content = encode(make_pixels(10, 10))
    assert decode(content, max_megapixels=1e-4).shape == (10, 10, 3)
    with pytest.raises(ImageReadError, match="10 x 10 pixels are more than"):
        decode(content, max_megapixels=0.99e-4)


LARGE = {
    **{
        mode: encode(Image.fromarray(make_pixels(96, 160)).convert(mode), "JPEG", quality=90)
        for mode in ("RGB", "L", "CMYK")
    },
    "progressive": encode(make_pixels(96, 160), "JPEG", quality=90, progressive=True),
}


@pytest.mark.parametrize("kind", LARGE)
def test_reduced_picture_is_the_whole_one_made_smaller(kind):
    """A JPEG of any kind decoded at a quarter shows the same, and its own size is known."""
    whole = Image.fromarray(decode(LARGE[kind])).resize((40, 24), Image.Resampling.BOX)
    part = decode_with_facts(LARGE[kind], name="x.jpg", max_megapixels=100, least_px=24)
    assert (part.pixels.shape, part.width_px, part.height_px) == ((24, 40, 3), 160, 96)
    assert np.abs(part.pixels.astype(int) - np.array(whole)).max() <= 4


def test_reduced_picture_is_never_smaller_than_asked_for():
    """The shorter side keeps at least so many pixels, and other formats keep all."""
    assert decode_with_facts(LARGE["RGB"], name="", max_megapixels=1, least_px=49).pixels.shape == (96, 160, 3)
    assert decode_with_facts(LARGE["RGB"], name="", max_megapixels=1, least_px=48).pixels.shape == (48, 80, 3)
    content = encode(make_pixels(96, 160))
    assert decode_with_facts(content, name="", max_megapixels=1, least_px=10).pixels.shape == (96, 160, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_of_the_original_is_upright(orientation):
    """Reduced or not, the size is that of the picture as it is shown."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = (64, 128) if orientation >= 5 else (128, 64)
    for image_format in ("JPEG", "PNG", "TIFF", "WEBP"):
        content = encode(make_pixels(64, 128), image_format, exif=exif.tobytes())
        for least_px in (None, 16):
            found = decode_with_facts(content, name="", max_megapixels=1, least_px=least_px)
            assert (found.width_px, found.height_px) == upright
            assert (found.pixels.shape[1] > found.pixels.shape[0]) == (upright[0] > upright[1])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LARGE)), st.data())
def test_reduced_decoding_refuses_what_the_whole_decoding_refuses(kind, data):
    """Damage gives the same reason, or none, at both sizes."""
    content = bytearray(LARGE[kind])
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 3, len(content))) :]

    def reason(least_px):
        try:
            decode_with_facts(bytes(content), name="", max_megapixels=1, least_px=least_px)
        except ImageReadError as error:
            return error.reason
        return ""

    assert reason(16) == reason(None)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(INTACT)), st.data())
def test_damage_never_gives_another_error(image_format, data):
    """Cut or altered bytes give pixels or an ImageReadError, never a traceback."""
    content = bytearray(INTACT[image_format])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 3, len(content))) :]
    try:
        decoded = decode(bytes(content), max_megapixels=1)
    except ImageReadError:
        return
    assert decoded.dtype == np.uint8


def test_places_that_are_no_file_give_their_reason(tmp_path):
    """A missing file, a folder, a pipe and a name with a null byte are told apart."""
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in {
        "no.jpg": "does not exist",
        ".": "folder, not a file",
        "pipe.jpg": "not a regular file",
        "a\0b": "cannot be opened",
        "x" * 300: "cannot be opened",
    }.items():
        with pytest.raises(ImageReadError, match=reason):
            read_bytes(tmp_path / name)


def test_file_is_read(tmp_path):
    """Reading a file is reading its bytes and decoding them."""
    (tmp_path / "ä b.png").write_bytes(encode(make_pixels()))
    assert np.array_equal(read_image(tmp_path / "ä b.png", max_megapixels=1), make_pixels())


def test_photographs_of_newer_phones_are_told_with_a_remedy():
    """HEIC is what most people will try that cannot be read."""
    with pytest.raises(ImageReadError, match="save it as JPEG"):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(60), name="IMG_1.HEIC", max_megapixels=1.0)
