"""Pictures are spoiled in known ways: the stronger the more, the same for the same seed, and still a picture."""

import cv2
import numpy as np
import pytest

from factories.colour_net import PAPER, draw_leaf
from phytoscope.errors import DataValidationError
from phytoscope.transforms.corrupt import (
    CHANGES_SIZE,
    CORRUPTION_WORDS,
    SEVERITIES,
    Corruption,
    can_corrupt,
    corrupt,
)

MOVED = {Corruption.zoom, Corruption.rotation}


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


@pytest.mark.parametrize("kind", Corruption)
def test_severity_rises(kind) -> None:
    """Each severity is further from the picture than the one before, mean of several pictures and seeds."""
    # As large as a network's square, because blur is measured in shares of the side.
    pictures = [cv2.resize(draw_leaf(seed=seed)[0], (224, 224)) for seed in range(6)]
    far = [
        np.mean([difference(corrupt(each, kind, severity, seed), each) for seed, each in enumerate(pictures)])
        for severity in SEVERITIES
    ]
    assert np.all(np.diff(far) > 0), far
    # Hardly to be seen at first, and no more than a quarter of the whole range at last.
    assert far[0] < (16 if kind in MOVED else 13)
    assert 1.5 < far[-1] < 80


@pytest.mark.parametrize("kind", Corruption)
def test_same_seed_same_picture(kind) -> None:
    """Equal inputs give equal pixels; the input stays as it is; the form stays as it is."""
    pixels, _, _ = draw_leaf()
    before = pixels.copy()
    spoiled = corrupt(pixels, kind, 4, 0)
    assert np.array_equal(spoiled, corrupt(pixels, kind, 4, 0))
    assert np.array_equal(pixels, before)
    assert (spoiled.shape, spoiled.dtype) == (pixels.shape, np.uint8)


@pytest.mark.parametrize(
    "kind", [kind for kind in Corruption if kind.value not in ("brighter", "darker", "jpeg", "out_of_focus")]
)
def test_seed_decides(kind) -> None:
    """Direction, place and grain follow the seed, and seed 0 is a seed."""
    pixels, _, _ = draw_leaf()
    spoiled = [corrupt(pixels, kind, 4, seed) for seed in range(8)]
    assert any(not np.array_equal(spoiled[0], each) for each in spoiled[1:])


def test_light_is_added_as_light() -> None:
    """Twice the light of a middle grey is 2 ** (1 / 2.2) times its value, and white stays white."""
    grey = np.full((32, 32, 3), 100, dtype=np.uint8)
    assert corrupt(grey, Corruption.brighter, 4, 0).max() == round(100 * 2.1 ** (1 / 2.2))
    assert corrupt(np.full_like(grey, 255), Corruption.brighter, 5, 0).min() == 255
    assert corrupt(grey, Corruption.darker, 5, 0).max() == round(100 * 0.17 ** (1 / 2.2))


def test_shadow_leaves_a_part_in_the_light() -> None:
    """Some pixels are as they were, some have lost what the severity says, at every seed."""
    grey = np.full((64, 64, 3), 150, dtype=np.uint8)
    for seed in range(10):
        spoiled = corrupt(grey, Corruption.shadow, 5, seed)
        assert spoiled.max() == 150
        assert spoiled.min() == pytest.approx(150 * 0.2 ** (1 / 2.2), abs=2)
        assert 0.15 < (spoiled[..., 0] < 110).mean() < 0.85


def test_blur_keeps_light_and_takes_detail() -> None:
    """The mean brightness stays, the differences between neighbours shrink."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for kind in (Corruption.motion_blur, Corruption.out_of_focus):
        spoiled = corrupt(pixels, kind, 5, 1)
        assert spoiled.mean() == pytest.approx(pixels.mean(), abs=1.5)
        assert np.diff(spoiled.astype(float), axis=0).std() < 0.6 * np.diff(pixels.astype(float), axis=0).std()


def test_new_background_leaves_the_plant() -> None:
    """Nothing of the paper is left at full severity, and the inside of the leaf is untouched."""
    pixels, leaf, _ = draw_leaf()
    spoiled = corrupt(pixels, Corruption.background, 5, 2)
    inside = np.zeros_like(leaf)
    inside[28:36, 20:44] = True
    assert np.array_equal(spoiled[inside & leaf], pixels[inside & leaf])
    paper = np.abs(spoiled[~leaf].astype(int) - np.array(PAPER)).max(axis=1) < 10
    assert paper.mean() < 0.1


def test_background_needs_a_plant() -> None:
    """Where no plant is found, or nothing else, the picture cannot be spoiled in this way and stays as it is."""
    paper = np.full((64, 64, 3), PAPER, dtype=np.uint8)
    assert not can_corrupt(paper, Corruption.background)
    assert can_corrupt(paper, Corruption.noise)
    assert np.array_equal(corrupt(paper, Corruption.background, 5, 0), paper)
    assert can_corrupt(draw_leaf()[0], Corruption.background)


def test_occlusion_hides_what_it_says() -> None:
    """No more than the share of the picture is hidden, and most of it is where the things lie within the picture."""
    grey = np.full((96, 96, 3), 128, dtype=np.uint8)
    hidden = [
        (np.abs(corrupt(grey, Corruption.occlusion, 5, seed).astype(int) - 128).max(axis=2) > 4).mean()
        for seed in range(20)
    ]
    assert 0.12 < np.mean(hidden) < 0.34


def test_unknown_severity_is_refused() -> None:
    """Severity 0 is the picture as it is, not something to do to it."""
    pixels, _, _ = draw_leaf()
    with pytest.raises(DataValidationError, match="severity 0 is not known"):
        corrupt(pixels, Corruption.noise, 0, 0)
    with pytest.raises(DataValidationError, match="expected uint8 pixels"):
        corrupt(pixels.astype(np.float32), Corruption.noise, 1, 0)


def test_every_kind_has_words() -> None:
    """The figure and the sentences name each kind; a closer view changes how large a plant is."""
    assert set(CORRUPTION_WORDS) == set(Corruption)
    assert {Corruption.zoom} == CHANGES_SIZE
