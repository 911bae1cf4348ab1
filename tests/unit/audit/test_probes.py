"""Shortcut probes find planted shortcuts, and raise no alarm where there is none."""

import numpy as np
import pytest

from factories.evidence import SIZE_PX, draw_plant, make_probe_data
from phytoscope.audit.probes import remedy_of, run_probes, title_of
from phytoscope.schema.audit import Severity
from phytoscope.schema.progress import SilentProgress

CLASSES = ("blight", "healthy", "rust")


def probe(data, seed=0):
    """Scores by name."""
    return {entry.name: entry for entry in run_probes(data, folds=4, seed=seed, progress=SilentProgress())}


def draw_classes(folder, seed, draw, n=96, **more):
    """Three classes in groups of two pictures; `draw` gets the generator and the class."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) // 2 % len(CLASSES)
    pictures = [draw(rng, code) for code in codes]
    labels = [CLASSES[code] for code in codes]
    return make_probe_data(folder, pictures, labels, (np.arange(n) // 2).tolist(), **more)


def free_background(rng):
    """Grey of a strength that tells nothing."""
    return np.full(3, rng.uniform(90, 200))


def test_background_by_class_is_an_error(tmp_path):
    """A background that follows the class is told from the border and from what surrounds the plant."""
    colours = ((150, 140, 145), (150, 140, 175), (175, 140, 145))
    data = draw_classes(tmp_path / "a", 0, lambda rng, code: draw_plant(rng, background=colours[code]))
    found = probe(data)
    for name in ("border_pixels", "plant_erased"):
        assert found[name].score > 0.9
        assert found[name].chance == pytest.approx(1 / 3)
        assert found[name].low > 2 / 3
        assert found[name].severity is Severity.error
        assert "gives the answer away" in found[name].verdict
        assert "guessing 33 %" in found[name].verdict
        assert "background" in remedy_of(found[name])


@pytest.mark.parametrize("seed", range(3))
def test_plant_by_class_is_no_shortcut(tmp_path, seed):
    """Where only the plant differs, in size, neither its surroundings nor its hole give the class away."""
    radii = (6.0, 9.0, 12.0)
    data = draw_classes(
        tmp_path / "a", seed, lambda rng, code: draw_plant(rng, background=free_background(rng), radius=radii[code])
    )
    found = probe(data, seed)
    assert found["whole_image"].score > 0.8
    for name in ("border_pixels", "plant_erased"):
        assert found[name].severity is Severity.note
        assert found[name].score < 0.5
        assert remedy_of(found[name]) == ""


def test_hole_in_an_uneven_background_does_not_show(tmp_path):
    """A camera that stands still before an uneven wall: how much of it a plant hides is not told by what is left."""
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX] / SIZE_PX
    wall = np.stack([90 + 90 * np.hypot(rows - 0.5, columns - 0.5) + 40 * rows] * 3, axis=2)
    radii = (5.0, 8.0, 11.0)
    found = probe(
        draw_classes(tmp_path / "a", 0, lambda rng, code: draw_plant(rng, background=wall, radius=radii[code]))
    )
    assert found["whole_image"].score > 0.9
    assert found["plant_erased"].severity is Severity.note
    assert found["plant_erased"].score < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_nothing_to_learn_is_guessing(tmp_path, seed):
    """Labels that were drawn by lot are predicted by no probe; only the whole picture's failure is worth a warning."""
    data = draw_classes(tmp_path / "a", seed, lambda rng, _: draw_plant(rng, background=free_background(rng)))
    found = probe(data, seed)
    assert found.pop("whole_image").severity is Severity.warning
    assert {entry.severity for entry in found.values()} == {Severity.note}
    assert all(entry.verdict.endswith("guessing.") for entry in found.values())


def test_file_size_by_class_is_an_error(tmp_path):
    """Classes that were saved at other JPEG qualities are told by their bytes."""
    qualities = [(95, 90, 85)[number // 2 % 3] for number in range(96)]
    data = draw_classes(
        tmp_path / "a", 0, lambda rng, _: draw_plant(rng, background=free_background(rng)), qualities=qualities
    )
    found = probe(data)["metadata"]
    assert found.severity is Severity.error
    assert "only the size in bytes differs" in found.verdict


def test_source_column_by_class_is_named(tmp_path):
    """A camera of its own for every class is found and named."""
    robots = [f"r{number // 2 % 3}" for number in range(96)]
    data = draw_classes(
        tmp_path / "a", 0, lambda rng, _: draw_plant(rng, background=free_background(rng)), robot=robots
    )
    found = probe(data)["metadata"]
    assert found.severity is Severity.error
    assert "the columns that say when and where it was taken: 100 % alone" in found.verdict


def test_rare_class_counts_like_a_frequent_one(tmp_path):
    """Guessing the frequent class is no better than guessing when nine of ten images have it."""
    rng = np.random.default_rng(0)
    pictures = [draw_plant(rng, background=free_background(rng)) for _ in range(100)]
    labels = ["rare" if number % 10 == 0 else "frequent" for number in range(100)]
    found = probe(make_probe_data(tmp_path / "a", pictures, labels, list(range(100))))
    assert found["border_pixels"].severity is Severity.note
    assert found["border_pixels"].chance == 0.5


def test_regression_is_scored_by_r2(tmp_path):
    """A background that follows the weight explains it; the verdict speaks of variance."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, 60)
    pictures = [draw_plant(rng, background=np.full(3, 90 + 100 * weight)) for weight in weights]
    found = probe(make_probe_data(tmp_path / "a", pictures, weights, list(range(60))))
    assert found["border_pixels"].metric == "r2"
    assert found["border_pixels"].chance == 0.0
    assert found["border_pixels"].score > 0.9
    assert found["border_pixels"].severity is Severity.error
    assert "of the variance of weight" in found["border_pixels"].verdict


def test_same_seed_same_scores(tmp_path):
    """Two runs with the seed 0 give the same numbers."""
    data = draw_classes(tmp_path / "a", 0, lambda rng, _: draw_plant(rng), n=48)
    assert probe(data, 0) == probe(data, 0)


def test_too_few_images_are_said(tmp_path):
    """Four images cannot be cross-validated: no score, no alarm, a reason."""
    data = draw_classes(tmp_path / "a", 0, lambda rng, _: draw_plant(rng), n=4)
    found = probe(data)
    assert {entry.score for entry in found.values()} == {None}
    assert "too few" in found["border_pixels"].verdict


def test_plant_that_fills_the_picture_has_no_background(tmp_path):
    """Without any background there is nothing to erase the plant from."""
    data = draw_classes(tmp_path / "a", 0, lambda rng, _: draw_plant(rng, radius=100.0), n=48)
    found = probe(data)["plant_erased"]
    assert found.score is None
    assert "show any background" in found.verdict


def test_wide_interval_says_little(tmp_path):
    """With six plants, a score between little and much is neither called learning nor guessing."""
    rng = np.random.default_rng(3)
    radii = np.repeat([4.0, 5.0, 6.0, 7.0, 9.0, 13.0], 6) + rng.normal(0, 0.3, 36)
    pictures = [draw_plant(rng, background=free_background(rng), radius=radius) for radius in radii]
    weights = radii**2 * np.repeat(rng.uniform(0.6, 1.4, 6), 6)
    found = probe(make_probe_data(tmp_path / "a", pictures, weights, np.repeat(np.arange(6), 6).tolist()))
    whole = found["whole_image"]
    assert whole.high - max(whole.low, 0) > 0.4
    assert whole.verdict.endswith("with 6 groups this says little.")
    assert whole.severity is Severity.note


def test_plant_over_the_edge_is_no_error(tmp_path):
    """Plants that reach the border tell their weight there, which is no fault of the background."""
    rng = np.random.default_rng(0)
    radii = rng.uniform(8, 22, 60)
    pictures = [draw_plant(rng, background=free_background(rng), radius=radius) for radius in radii]
    found = probe(make_probe_data(tmp_path / "a", pictures, radii**2, list(range(60))))
    assert found["border_pixels"].severity is not Severity.error


def test_titles_are_short(tmp_path):
    """The title names the score and what guessing reaches, and nothing else."""
    data = draw_classes(tmp_path / "a", 0, lambda rng, code: draw_plant(rng, radius=(6.0, 9.0, 12.0)[code]), n=48)
    for name, entry in probe(data).items():
        if entry.score is not None:
            assert len(title_of(entry, "class")) <= 110, name
            assert "(guessing: 33 %)" in title_of(entry, "class")
