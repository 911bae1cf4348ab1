"""Tests of when a photograph is called faulty."""

import cv2
import numpy as np
import pytest

from factories.leaves import draw_leaf
from phytoscope.schema.verdict import Reason
from phytoscope.transforms.photo_measures import measure_photo
from phytoscope.trust.photo import MEASURES, PhotoLimits, fit_photo_limits

SPOILED = {
    Reason.too_dark: lambda pixels: cv2.convertScaleAbs(pixels, alpha=0.2),
    Reason.too_bright: lambda pixels: cv2.convertScaleAbs(pixels, alpha=3.0),
    Reason.blurred: lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 3),
    Reason.no_plant: lambda pixels: np.broadcast_to(pixels[:6, :6].mean(axis=(0, 1)), pixels.shape).astype(np.uint8),
}


def measure(pictures, side_px=256):
    """Measures of some pictures, as table 7 holds them."""
    rows = [measure_photo(pixels, side_px, side_px) for pixels in pictures]
    return {name: np.array([row[name] for row in rows]) for name in MEASURES}


def draw_photos(n, *, light=1.0, seed=0):
    """Leaves on paper, under light of some strength."""
    return [cv2.convertScaleAbs(draw_leaf(seed=seed + number, side=160)[0], alpha=light) for number in range(n)]


@pytest.fixture(scope="module")
def limits():
    return fit_photo_limits(measure(draw_photos(40)), 0.02)


def test_good_photographs_have_no_fault(limits):
    """New photographs of the same kind are not sent back."""
    faults = limits.find_faults(measure(draw_photos(60, seed=100)))
    assert not np.any(list(faults.values()))


@pytest.mark.parametrize("reason", SPOILED)
def test_each_fault_is_found(limits, reason):
    """A photograph that was spoiled in one way is told so."""
    faults = limits.find_faults(measure([SPOILED[reason](pixels) for pixels in draw_photos(10, seed=200)]))
    assert faults[reason].all()


def test_small_pictures_are_found(limits):
    """It is the size of the original that counts, not that of the square."""
    assert limits.find_faults(measure(draw_photos(2), side_px=60))[Reason.too_small].all()
    assert not limits.find_faults(measure(draw_photos(2), side_px=120))[Reason.too_small].any()


def test_dark_laboratory_is_not_told_so_at_every_picture():
    """Beyond what a person would say, but like all that the model learned from."""
    dark = fit_photo_limits(measure(draw_photos(40, light=0.15)), 0.02)
    usual = fit_photo_limits(measure(draw_photos(40)), 0.02)
    new = measure(draw_photos(20, light=0.15, seed=300))
    assert usual.find_faults(new)[Reason.too_dark].all()
    assert not dark.find_faults(new)[Reason.too_dark].any()
    darker = measure(draw_photos(20, light=0.03, seed=300))
    assert dark.find_faults(darker)[Reason.too_dark].all()


def test_bright_laboratory_does_not_make_usual_light_dark():
    """Beyond all that the model learned from, but nothing that a person would call dark."""
    bright = fit_photo_limits({"brightness": np.linspace(180, 220, 50)}, 0.02)
    assert not bright.find_faults({"brightness": np.array([90.0])})[Reason.too_dark].any()


def test_few_good_photographs_leave_what_a_person_would_say():
    """The range of three photographs says nothing."""
    three = fit_photo_limits({"brightness": np.array([3.0, 4.0, 5.0])}, 0.02)
    assert three == fit_photo_limits({}, 0.02)
    assert three.find_faults({"brightness": np.array([5.0, 100.0])})[Reason.too_dark].tolist() == [True, False]


def test_unmeasured_photographs_have_no_fault(limits):
    """What is not known speaks against nothing."""
    unknown = {name: np.full(3, np.nan) for name in MEASURES}
    assert not np.any(list(limits.find_faults(unknown).values()))
    assert limits.find_faults({}) == {}
    assert PhotoLimits().find_faults(measure(draw_photos(2))) == {}


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_false_flags_stay_below_the_stated_share(share):
    """Even where every photograph is dark, pale and soft, few of the good ones are sent back."""
    rng = np.random.default_rng(0)

    def draw(n):
        return {
            "brightness": rng.gamma(4.0, 4.0, n),
            "highlights": rng.beta(8.0, 2.0, n),
            "sharpness": rng.normal(0.4, 0.05, n),
            "side_px": rng.integers(40, 90, n).astype(float),
            "plant": rng.beta(1.0, 200.0, n),
        }

    limits, new = fit_photo_limits(draw(300), share), draw(5000)
    assert np.mean(np.any(list(limits.find_faults(new).values()), axis=0)) <= share


def test_same_after_json(limits):
    """Limits come back as they were."""
    assert PhotoLimits.from_dict(limits.to_dict()) == limits
