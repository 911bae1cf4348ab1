"""Pairs of images and their answers are mixed by the same share."""

import numpy as np
import pytest
import torch

from phytoscope.models.mixing import BatchMixer

N, SIZE = 6, 16


@pytest.fixture
def batch():
    """Images that are all of one value, class indices and covariates that name the image."""
    values = torch.arange(N, dtype=torch.uint8) * 40
    images = values.view(N, 1, 1, 1).expand(N, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    return images, torch.arange(N), torch.arange(N, dtype=torch.float32)[:, None]


def mix(batch, place=(0, 0, 0, 0), *, mixup=0.0, cutmix=0.0, classes=N):
    return BatchMixer(mixup, cutmix, classes)(*batch, place)


def test_mixup_blends_images_and_answers_alike(batch) -> None:
    """The share of the other image in the pixels is the share of its class in the answer."""
    images, target, covariates = mix(batch, mixup=1.0)
    expected = target @ (torch.arange(N) * 40.0)
    torch.testing.assert_close(images, expected.view(N, 1, 1, 1).expand_as(images))
    torch.testing.assert_close(target.sum(dim=1), torch.ones(N))
    torch.testing.assert_close(covariates[:, 0], target @ torch.arange(N, dtype=torch.float32))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_cutmix_pastes_a_box(batch) -> None:
    """Every pixel is of one of the two images, and the share of the pasted ones is the share in the answer."""
    original = batch[0].clone()
    images, target, _ = mix(batch, cutmix=1.0)
    assert torch.equal(batch[0], original)
    assert images.dtype == torch.uint8
    share = torch.stack([(images[:, 0] == value * 40).float().mean(dim=(1, 2)) for value in range(N)], dim=1)
    torch.testing.assert_close(share, target)
    assert ((target > 0).sum(dim=1) <= 2).all()


def test_boxes_are_boxes_and_cover_what_was_drawn(batch) -> None:
    """The pasted pixels form a rectangle; over many batches half of the area is pasted, less what is cut off."""
    areas = []
    for step in range(200):
        images, target, _ = mix(batch, (0, 0, 0, step), cutmix=1.0)
        changed = (images[1, 0] != 40).nonzero()
        areas.append(1 - target.amax(dim=1)[1].item())
        if len(changed) > 0:
            (top, left), (bottom, right) = changed.amin(dim=0), changed.amax(dim=0)
            assert len(changed) == (bottom - top + 1) * (right - left + 1)
    assert 0.2 < np.mean(areas) < 0.5


def test_share_follows_the_beta_distribution(batch) -> None:
    """Mean 1/2, and the spread of Beta(a, a): 1 / (4 (2 a + 1))."""
    for strength in (0.2, 2.0):
        shares = []
        for step in range(600):
            _, target, _ = mix(batch, (0, 0, 0, step), mixup=strength)
            rows = target[(target > 0).sum(dim=1) == 2]
            if len(rows) > 0:
                shares.append(rows[0, rows[0] > 0].tolist()[0])
        assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
        assert np.var(shares) == pytest.approx(1 / (4 * (2 * strength + 1)), rel=0.2)


def test_both_come_by_turns(batch) -> None:
    """Even batches are blended, odd ones pasted."""
    kinds = [mix(batch, (0, 0, 0, step), mixup=1.0, cutmix=1.0)[0].dtype for step in range(4)]
    assert kinds == [torch.float32, torch.uint8] * 2


def test_same_place_same_mixture(batch) -> None:
    """Seed, device, epoch and batch decide everything, whatever torch or NumPy drew before."""
    first = mix(batch, (1, 0, 2, 3), mixup=1.0)
    torch.rand(7)
    np.random.rand(7)  # noqa: NPY002 (the old global generator must not matter)
    second = mix(batch, (1, 0, 2, 3), mixup=1.0)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    for place in ((0, 0, 2, 3), (1, 1, 2, 3), (1, 0, 3, 3), (1, 0, 2, 4)):
        assert not torch.equal(mix(batch, place, mixup=1.0)[1], first[1])


def test_missing_numbers_stay_missing(batch) -> None:
    """A pair in which one lacks a number has no number either; the others are blended."""
    images, _, covariates = batch
    target = torch.arange(2.0 * N).view(N, 2)
    target[0, 1] = torch.nan
    _, mixed, _ = mix((images, target, covariates), mixup=1.0, classes=None)
    assert mixed[:, 0].isfinite().all()
    assert 1 <= mixed[:, 1].isnan().sum() <= 2
    torch.testing.assert_close(mixed[:, 0].sum() > 0, torch.tensor(True))
