"""What age, green pixels and a tag explain of a target is measured on groups kept back."""

import numpy as np
import pytest

from factories.evidence import SIZE_PX, draw_plant, make_featured_data, make_probe_data
from phytoscope.audit.explain import explain_target, predict_by_line
from phytoscope.schema.progress import SilentProgress


def explain(data):
    """Entries by name."""
    return {entry.name: entry for entry in explain_target(data, folds=4, seed=0, progress=SilentProgress())}


def draw_pots(folder, *, tag=False, n=60, **columns):
    """Pots whose weight is drawn by lot; with `tag`, the lower left corner shows it."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, n)
    pictures = [draw_plant(rng) for _ in range(n)]
    for pixels, weight in zip(pictures, weights, strict=True):
        if tag:
            pixels[SIZE_PX - 6 :, :6] = 255 * weight
    return make_probe_data(folder, pictures, weights, (np.arange(n) // 2).tolist(), **columns), weights


def test_green_pixels_explain_the_area(tmp_path):
    """A target that is the plant's area is explained by its green pixels."""
    rng = np.random.default_rng(0)
    radii = rng.uniform(4, 14, 60)
    pictures = [draw_plant(rng, radius=radius) for radius in radii]
    found = explain(make_probe_data(tmp_path / "a", pictures, np.pi * radii**2, (np.arange(60) // 2).tolist()))
    assert found["green_pixels"].r2 > 0.95
    assert "green pixels" in found["green_pixels"].description
    assert "of the variance of weight" in found["green_pixels"].verdict
    assert found["image_size"].r2 is None
    assert "same size" in found["image_size"].verdict
    assert "age" not in found


def test_tag_in_the_corner_is_suspected(tmp_path):
    """A corner that tells the weight, when the others do not, is reported as a tag."""
    found = explain(draw_pots(tmp_path / "a", tag=True)[0])
    assert found["burnt_in_tag"].r2 > 0.8
    assert "as a tag would" in found["lower_left_corner"].verdict


def test_clean_corner_is_not_suspected(tmp_path):
    """Without a tag there is no entry for one."""
    found = explain(draw_pots(tmp_path / "a")[0])
    assert "burnt_in_tag" not in found
    assert found["lower_left_corner"].r2 < 0.3
    assert "no sign of a tag" in found["lower_left_corner"].verdict


def test_columns_are_given_to_lines_and_small_models(tmp_path):
    """Age with gaps, robot, treatment and time are scored when the table has them."""
    rng = np.random.default_rng(0)
    age = np.where(rng.random(60) < 0.1, np.nan, np.repeat(np.arange(30.0), 2))
    more = {
        "robot": ["a", "b"] * 30,
        "condition": ["control", "drought"] * 30,
        "date": [f"2024-05-{1 + number % 28:02}" for number in range(60)],
    }
    data, _ = draw_pots(tmp_path / "a", age_days=age, **more)
    found = explain(data)
    assert {"age", "source", "condition", "capture_time"} <= set(found)
    assert "burnt_in_tag" not in found
    assert all(found[name].r2 < 0.3 for name in ("age", "source", "condition", "capture_time"))
    assert all(found[name].low <= found[name].r2 <= found[name].high for name in ("age", "source"))
    assert f"missing for {np.isnan(age).sum()} images" in found["age"].verdict


def test_classes_have_no_target():
    """Classification has nothing to explain."""
    data = make_featured_data(np.eye(40), ["a", "b"] * 20, list(range(40)))
    assert explain(data) == {}


def test_line_chooses_the_logarithm():
    """A target that grows with the logarithm is predicted from the logarithm; a missing number gets the mean."""
    values = np.geomspace(1, 1e4, 40)
    target = np.log(values)
    folds = np.arange(40) % 4
    values[3] = np.nan
    preds, form = predict_by_line(target, {"as it is": values, "logarithm": np.log(values)}, folds)
    assert form == "logarithm"
    known = np.isfinite(values)
    np.testing.assert_allclose(preds[known], target[known], atol=0.5)
    assert preds[3] == pytest.approx(target[folds != 3].mean())
