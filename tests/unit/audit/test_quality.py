"""Pictures that are really odd are named, the worst first; a set of sound ones raises no alarm."""

import cv2
import numpy as np
import pandas as pd
import pytest

from factories.images import encode
from factories.textures import draw_texture
from phytoscope.audit.quality import find_quality_issues, judge_quality
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.data.synthetic import draw_leaf_dataset, draw_rosette_dataset
from phytoscope.schema.progress import SilentProgress


def read(paths, folder):
    return read_image_facts(
        [str(path) for path in paths], folder, max_megapixels=100, workers=2, progress=SilentProgress()
    )


def judge(pictures, tmp_path, **options):
    """Issues of named pictures, given as pixels or as bytes, beside thirty sound ones."""
    sound = {f"sound_{number}.png": draw_texture(128, 128, seed=number) for number in range(30)}
    for name, picture in {**sound, **pictures}.items():
        (tmp_path / name).write_bytes(picture if isinstance(picture, bytes) else encode(picture))
    names = [*sound, *pictures]
    facts = read([tmp_path / name for name in names], tmp_path / "facts")
    return {issue.name: issue for issue in judge_quality(facts.table, names, **options)}


def test_sound_pictures_raise_no_alarm(tmp_path):
    """Nothing stands out among pictures of one kind."""
    assert judge({}, tmp_path) == {}


@pytest.mark.parametrize("draw", [draw_leaf_dataset, draw_rosette_dataset])
def test_drawn_plants_raise_no_alarm(tmp_path, draw):
    """Even paper and smooth leaves are neither dark nor light nor blurry nor empty."""
    size = {"leaves_per_class": 3, "size_px": 128} if draw is draw_leaf_dataset else {"plants": 25, "size_px": 128}
    draw(tmp_path / "drawn", **size)
    paths = sorted(path for path in (tmp_path / "drawn").rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    facts = read(paths, tmp_path / "facts")
    found = {issue.name for issue in judge_quality(facts.table, [str(path) for path in paths])}
    assert not found & {"dark", "light", "blurry", "low_information", "odd_aspect", "greyscale"}


ODD = {
    "dark": lambda: (draw_texture(128, 128, seed=77) * 0.2).astype(np.uint8),
    "light": lambda: np.clip(draw_texture(128, 128, seed=77) * 0.03 + 245, 0, 255).astype(np.uint8),
    "blurry": lambda: cv2.GaussianBlur(draw_texture(128, 128, seed=77), None, 4),
    "low_information": lambda: np.full((128, 128, 3), (90, 140, 60), dtype=np.uint8),
    "odd_size": lambda: draw_texture(700, 700, seed=77),
    "odd_aspect": lambda: draw_texture(64, 256, seed=77),
    "greyscale": lambda: np.repeat(draw_texture(128, 128, seed=77)[:, :, :1], 3, axis=2),
    "misnamed": lambda: encode(draw_texture(128, 128, seed=77), "JPEG"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_picture_is_named(tmp_path, kind):
    """Each way of standing out is found, with the line in words."""
    issues = judge({"odd.png": ODD[kind]()}, tmp_path)
    assert issues[kind].sample_ids == ["odd.png"]
    assert (issues[kind].count, issues[kind].share) == (1, pytest.approx(1 / 31))
    assert issues[kind].description.endswith(".")


def test_turned_by_its_record(tmp_path):
    """A picture that lies on its side in the file is named."""
    content = encode(
        draw_texture(128, 128, seed=77), "PNG", exif=b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    )
    assert judge({"odd.png": content}, tmp_path)["exif_rotated"].sample_ids == ["odd.png"]


@pytest.mark.parametrize(("kind", "change"), [("dark", (0.25, 0)), ("light", (0.03, 245))])
def test_light_of_the_whole_set_is_told_once(tmp_path, kind, change):
    """Where most pictures are dark, that is a sentence on the set; only a black one among them stands out."""
    scale, offset = change
    many = {
        f"odd_{number}.png": np.clip(draw_texture(64, 64, seed=number) * scale + offset, 0, 255).astype(np.uint8)
        for number in range(40)
    }
    issues = judge(many, tmp_path)
    assert kind not in issues
    assert issues[f"{kind}_set"].count == 40
    assert "no outliers" in issues[f"{kind}_set"].description
    if kind == "dark":
        black = {**many, "black.png": np.full((64, 64, 3), 1, dtype=np.uint8)}
        assert judge(black, tmp_path)["dark"].sample_ids == ["black.png"]


def test_worst_come_first_and_examples_are_few(tmp_path):
    """The count is of all, the names are of the worst."""
    dark = {
        f"dark_{number}.png": (draw_texture(128, 128, seed=50) * (number / 50)).astype(np.uint8) for number in (9, 3, 6)
    }
    issue = judge(dark, tmp_path, examples=2)["dark"]
    assert (issue.count, issue.sample_ids) == (3, ["dark_3.png", "dark_6.png"])


def test_unreadable_files_are_passed_over(tmp_path):
    """They have reasons of their own elsewhere, and do not count."""
    assert judge({"broken.png": b"x"}, tmp_path) == {}
    facts = read([tmp_path / "broken.png"], tmp_path / "facts")
    assert judge_quality(facts.table, ["broken"]) == []


def test_manifest_rows_are_found_by_their_path(tmp_path):
    """The facts may cover more files, in another order, and a manifest may name one twice."""
    for name, scale in (("a.png", 1.0), ("b.png", 0.1), ("c.png", 1.0)):
        (tmp_path / name).write_bytes(encode((draw_texture(64, 64) * scale).astype(np.uint8)))
    facts = read([tmp_path / name for name in ("a.png", "b.png", "c.png")], tmp_path / "facts")
    rows = pd.DataFrame(
        {"sample_id": ["c", "b", "again"], "path": [str(tmp_path / f"{n}.png") for n in ("c", "b", "b")]}
    )
    [issue] = [issue for issue in find_quality_issues(rows, facts) if issue.name == "dark"]
    assert issue.sample_ids == ["b", "again"]
