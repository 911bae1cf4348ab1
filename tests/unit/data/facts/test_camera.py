"""The camera's record is taken where it makes sense and passed over where it does not."""

import pytest
from PIL import Image

from factories.images import encode, make_pixels
from phytoscope.data.facts.camera import read_camera
from phytoscope.transforms.decode import decode_with_facts


def read(tags, details=()):
    exif = Image.Exif()
    exif.update(tags)
    exif.get_ifd(0x8769).update(details)
    content = encode(make_pixels(), "JPEG", exif=exif.tobytes())
    return read_camera(decode_with_facts(content, name="", max_megapixels=1, least_px=None).exif)


def test_time_orientation_and_camera_are_read():
    """The time of the shot counts before the time of the file; the make is not said twice."""
    found = read(
        {0x010F: "Canon", 0x0110: "Canon EOS 70D", 0x0112: 6, 0x0132: "2021:01:01 00:00:00"},
        {0x9003: "2020:06:05 12:34:56"},
    )
    assert found == {"exif_time": "2020-06-05T12:34:56", "exif_orientation": 6, "camera": "Canon EOS 70D"}


def test_make_and_model_stand_together():
    """Where the model does not name the make, it stands before it."""
    assert read({0x010F: "SONY\0\0", 0x0110: "DSC-W300"})["camera"] == "SONY DSC-W300"


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "yesterday", ""])
def test_senseless_time_is_no_time(taken):
    """Cameras whose clock was never set write zeros."""
    assert read({0x0132: taken})["exif_time"] is None


def test_picture_without_a_record_has_none():
    """Nothing is made up."""
    assert read_camera(Image.Exif()) == {"exif_time": None, "exif_orientation": 0, "camera": ""}
