"""Photographs are kept without place, names and notes, and look the same."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from phytoscope.api.records.bare_image import make_bare, read_orientation
from phytoscope.errors import ImageReadError
from phytoscope.transforms.decode import decode_image

SECRETS = [b"SECRETNAME", b"GPSSECRET", b"Canon", b"NOTE", b"Exif\x00\x00MM", b"xmpmeta", b"ICCSECRET"]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6" dc:creator="SECRETNAME"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def make_picture(mode="RGB"):
    rng = np.random.default_rng(3)
    smooth = np.linspace(0, 200, 48 * 32 * 3).reshape(32, 48, 3) + rng.integers(0, 50, (32, 48, 3))
    return Image.fromarray(smooth.astype(np.uint8)).convert(mode)


def make_exif(orientation=None):
    """A camera's record with a place on earth, names and a note."""
    exif = Image.Exif()
    exif[0x010F], exif[0x013B], exif[0x010E] = "Canon", "SECRETNAME", "NOTE of SECRETNAME"
    if orientation is not None:
        exif[0x0112] = orientation
    place = exif.get_ifd(0x8825)
    place.update({1: "N", 2: (48.0, 8.0, 14.0), 3: "E", 4: (11.0, 34.0, 31.0), 29: "GPSSECRET"})
    return exif


def save(picture, kind, **more):
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **more)
    return buffer.getvalue()


def decode(content):
    return decode_image(content, name="test", max_megapixels=10)


def check_bare(content, suffix):
    bare, found = make_bare(content)
    assert found == suffix
    assert not [secret for secret in SECRETS if secret in bare]
    with Image.open(io.BytesIO(bare)) as image:
        assert dict(image.getexif().get_ifd(0x8825)) == {}
        assert set(image.getexif()) <= {0x0112}
        assert not {"xmp", "comment", "icc_profile", "XML:com.adobe.xmp"} & set(image.info)
    np.testing.assert_array_equal(decode(bare), decode(content))
    return bare


@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_place_and_names_go_and_the_photograph_stays_upright(kind, suffix, orientation):
    """GPS, maker, artist and note are gone; pixels and the way up are the same."""
    content = save(make_picture(), kind, exif=make_exif(orientation))
    assert b"SECRETNAME" in content
    check_bare(content, suffix)


@pytest.mark.parametrize(
    "more",
    [{"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 2, "quality": 20}],
    ids=["progressive", "restarts", "coarse"],
)
def test_jpeg_is_not_encoded_again(more):
    """Of a JPEG the coded pixels stay as they are, bit by bit."""
    content = save(make_picture(), "JPEG", exif=make_exif(), comment=b"NOTE", icc_profile=b"ICCSECRET" * 9, **more)
    bare = check_bare(content, ".jpg")
    assert bare[bare.index(b"\xff\xda") :] == content[content.index(b"\xff\xda") :]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpeg_of_other_colours(mode):
    """Grey and printer's colours come through."""
    check_bare(save(make_picture(mode), "JPEG", exif=make_exif(3)), ".jpg")


def test_orientation_in_xmp():
    """Where only the editor's notes say what is up, the orientation is kept and the notes go."""
    bare = check_bare(save(make_picture(), "JPEG", xmp=XMP), ".jpg")
    assert Image.open(io.BytesIO(bare)).getexif()[0x0112] == 6
    check_bare(save(make_picture(), "WEBP", xmp=XMP), ".webp")
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode())
    check_bare(save(make_picture(), "PNG", pnginfo=notes), ".png")
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    check_bare(save(make_picture(), "PNG", pnginfo=notes), ".png")


def test_what_hangs_behind_a_jpeg_goes():
    """A film or a second picture behind the first one, as telephones put it there, is left out."""
    content = save(make_picture(), "JPEG") + save(make_picture("L"), "JPEG", comment=b"SECRETNAME") + b"GPSSECRET"
    check_bare(content, ".jpg")


def test_preview_in_the_first_segment_goes():
    """A small preview in the JFIF segment, which may show what was cut off, is left out."""
    content = save(make_picture(), "JPEG")
    head = b"\xff\xe0" + struct.pack(">H", 16 + 12)
    preview = head + b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x02\x02" + b"GPSSECRET123"
    bare = check_bare(b"\xff\xd8" + preview + content[20:], ".jpg")
    assert bare[:20] == b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


def test_png_texts_go():
    """Texts, time and unknown chunks of a PNG are left out, its colours are not."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "SECRETNAME")
    notes.add_text("Comment", "NOTE", zip=True)
    notes.add_itxt("Title", "GPSSECRET")
    notes.add(b"prIv", b"ICCSECRET")
    check_bare(save(make_picture("P"), "PNG", pnginfo=notes), ".png")
    check_bare(save(make_picture("RGBA"), "PNG", pnginfo=notes, gamma=0.5), ".png")


def test_old_raw_profile_of_a_png():
    """The camera's record in an old kind of PNG text goes, and the photograph stays upright."""
    record = b"Exif\x00\x00" + make_exif(6).tobytes().removeprefix(b"Exif\x00\x00")
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Raw profile type exif", f"\nexif\n{len(record):8}\n{record.hex()}\n", zip=True)
    check_bare(save(make_picture(), "PNG", pnginfo=notes), ".png")


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp(mode, lossless):
    """Both kinds of WebP stay WebP, with their transparency."""
    content = save(make_picture(mode), "WEBP", lossless=lossless, exif=make_exif(6), icc_profile=b"ICCSECRET" * 3)
    check_bare(content, ".webp")
    check_bare(save(make_picture(mode), "WEBP", lossless=lossless), ".webp")


def test_moving_webp_becomes_its_first_picture():
    """Of a moving picture the first one is kept."""
    content = save(make_picture(), "WEBP", save_all=True, append_images=[make_picture("L").convert("RGB")])
    check_bare(content, ".png")


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_other_formats_become_png(kind):
    """Formats that hide notes in many places are encoded again, without loss."""
    more = {"exif": make_exif(6)} if kind == "TIFF" else {}
    check_bare(save(make_picture(), kind, **more), ".png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_cut_off_files_are_refused(kind):
    """A file that ends anywhere in its middle is refused in words, and nothing else happens."""
    content = save(make_picture(), kind, exif=make_exif(6))
    for length in [0, 1, 3, 8, 12, 20, *range(30, len(content) - 20, 97)]:
        with pytest.raises(ImageReadError):
            make_bare(content[:length])


def test_no_marker_where_one_must_be():
    """A JPEG whose segments do not follow each other is refused."""
    with pytest.raises(ImageReadError, match="a marker is missing"):
        make_bare(b"\xff\xd8\xff\xe0\x00\x04ab" + b"nonsense" * 10)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(order):
    """The little record is read as cameras write it."""
    mark = b"II" if order == "<" else b"MM"
    entries = struct.pack(f"{order}HHIHH", 0x010F, 2, 3, 0, 0) + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 8, 0)
    assert read_orientation(mark + struct.pack(f"{order}HIH", 42, 8, 2) + entries) == 8


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"XX",
        b"II*\x00",
        b"II*\x00\xff\xff\xff\xff",
        struct.pack("<2sHIH", b"II", 42, 8, 0),
        struct.pack("<2sHIHHHIHH", b"II", 42, 8, 1, 0x0112, 3, 1, 99, 0),
    ],
)
def test_nonsense_orientation_is_upright(record):
    """A record that cannot be read says nothing."""
    assert read_orientation(record) == 1


def test_png_checksums_are_right():
    """The chunks that are made anew have the checksums that strict readers want."""
    bare, _ = make_bare(save(make_picture(), "PNG", exif=make_exif(6)))
    place, kinds = 8, []
    while place < len(bare):
        length, kind = struct.unpack_from(">I4s", bare, place)
        (given,) = struct.unpack_from(">I", bare, place + 8 + length)
        assert given == zlib.crc32(bare[place + 4 : place + 8 + length])
        kinds.append(kind)
        place += 12 + length
    assert (kinds[0], kinds[1], kinds[-1]) == (b"IHDR", b"eXIf", b"IEND")


def test_pixels_with_restart_markers_and_odd_fillings_are_kept():
    """Markers among the pixels, filling bytes and markers without a length are part of many cameras' files."""
    content = save(make_picture(), "JPEG", restart_marker_blocks=1, exif=make_exif(6), comment=b"NOTE")
    assert b"\xff\xd0" in content
    check_bare(content, ".jpg")
    # A filling byte before the first segment, and a marker that stands for itself.
    check_bare(content[:2] + b"\xff" + content[2:], ".jpg")
    check_bare(content[:2] + b"\xff\xd0" + content[2:], ".jpg")
