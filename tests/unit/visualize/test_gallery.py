"""Galleries show the pictures of the mistakes and survive pictures that are gone or odd."""

import numpy as np
import pytest
from PIL import Image

from factories.reports import build_classification
from phytoscope.visualize import gallery
from phytoscope.visualize.gallery import plot_confusion_gallery, plot_error_gallery, read_thumbnail
from phytoscope.visualize.style import save_figures


def rows_of(run):
    return run.predictions[run.predictions["split"] == "test"]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "CMYK", "I;16", "1"])
def test_thumbnails_are_small_rgb_whatever_the_mode(mode, tmp_path):
    """Every colour mode ends as uint8 RGB of at most 320 px."""
    path = tmp_path / "leaf.tif"
    Image.new("RGB", (800, 400), (10, 200, 30)).convert("L").convert("RGB")
    source = (
        Image.new(mode, (800, 400)) if mode == "I;16" else Image.new("RGB", (800, 400), (10, 200, 30)).convert(mode)
    )
    source.save(path)
    pixels = read_thumbnail(path)
    assert pixels.shape == (160, 320, 3)
    assert pixels.dtype == np.uint8


def test_16_bit_pictures_are_not_washed_out(tmp_path):
    """The range of the values is spread over black to white."""
    path = tmp_path / "leaf.png"
    Image.fromarray(np.linspace(0, 60000, 100 * 100).reshape(100, 100).astype(np.uint16)).save(path)
    pixels = read_thumbnail(path)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert 100 < pixels.mean() < 155


def test_transparent_parts_become_white(tmp_path):
    """A cut-out leaf stands on white paper."""
    path = tmp_path / "leaf.png"
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(path)
    assert (read_thumbnail(path) == 255).all()


def test_rotated_photographs_stand_upright(tmp_path):
    """The camera's orientation mark is obeyed."""
    path = tmp_path / "leaf.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    assert read_thumbnail(path).shape == (60, 40, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 broken"])
def test_broken_pictures_give_none(content, tmp_path):
    """What cannot be decoded is treated like a missing picture."""
    path = tmp_path / "leaf.jpg"
    path.write_bytes(content)
    assert read_thumbnail(path) is None


def test_missing_and_huge_pictures_give_none(tmp_path, monkeypatch):
    """Neither an unknown path, a missing file nor a picture too large to decode stops the report."""
    path = tmp_path / "leaf.png"
    Image.new("RGB", (50, 50)).save(path)
    monkeypatch.setattr(gallery, "_MAX_PIXELS", 2499)
    assert read_thumbnail(path) is None
    assert read_thumbnail(tmp_path / "gone.jpg") is None
    assert read_thumbnail(tmp_path) is None
    assert read_thumbnail(None) is None


def test_confusion_gallery_shows_mistakes_and_one_true_example(diseases, find_leaf, tmp_path):
    """Each line has the wrong pictures with the model's certainty; missing ones are grey tiles."""
    fig = plot_confusion_gallery(diseases.report.splits["test"], rows_of(diseases), find_leaf, pairs=2)
    captions = [ax.get_xlabel() for ax in fig.axes]
    assert captions.count("a true example") == 2
    assert sum("sure" in caption for caption in captions) >= 2
    assert all(ax.images or ax.texts[0].get_text() == "image\nmissing" for ax in fig.axes)
    save_figures({"confusion_gallery": fig}, tmp_path)


def test_perfect_model_has_an_empty_gallery(find_leaf):
    """Without mistakes the figure says so."""
    run = build_classification(["a", "b"], n_per_class=3, accuracy=1.0)
    fig = plot_confusion_gallery(run.report.splits["test"], rows_of(run), find_leaf)
    assert fig.texts[0].get_text() == "No mistakes to show"


def test_class_without_a_right_example_has_no_green_frame(find_leaf):
    """If no picture of the class was recognised, none is shown as an example."""
    run = build_classification(["a", "b"], n_per_class=3, accuracy=0.0)
    fig = plot_confusion_gallery(run.report.splits["test"], rows_of(run), find_leaf)
    assert "a true example" not in [ax.get_xlabel() for ax in fig.axes]


def test_error_gallery_shows_the_worst_with_both_values(weights, find_leaf):
    """The first tile is the worst image."""
    part = weights.report.splits["test"]
    fig = plot_error_gallery(part, rows_of(weights), find_leaf, unit="g")
    assert len(fig.axes) == len(part.worst) == 12
    worst = rows_of(weights).set_index("sample_id").loc[part.worst[0]]
    caption = fig.axes[0].get_xlabel()
    assert caption.startswith(f"true {worst['target']:.3g}")
    assert "predicted" in caption
