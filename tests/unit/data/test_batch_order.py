"""Which images come in which batch: for several devices, within an epoch, and with classes balanced."""

from itertools import chain

import numpy as np
import pytest

from phytoscope.data.batch_order import EpochBatchSampler


def batches(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return [draws.tolist() for _, draws in sampler]


def make(rank=None, world=1, *, n=23, batch_size=4, seed=0, **options):
    sampler = EpochBatchSampler(n, batch_size, seed=seed, **options)
    if rank is not None:
        sampler.divide(rank, world)
    return sampler


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("n", [16, 23, 24, 27])
def test_devices_see_together_what_one_would_have_seen(n, world):
    """Each batch is divided among the devices; one that is too small for that is given whole to each of them."""
    size = 2 * world
    parts = [batches(make(rank, world, n=n, batch_size=size)) for rank in range(world)]
    whole = batches(make(n=n, batch_size=size))
    for batch, *shares in zip(whole, *parts, strict=True):
        if len(batch) < 2 * world:
            assert all(share == batch for share in shares)
        else:
            assert sorted(chain(*shares)) == sorted(batch)
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert min(map(len, shares)) >= 2
    assert sum(map(len, whole)) == n - (n % size == 1)


def test_number_of_devices_changes_no_batch():
    """Also one that does not divide the batch, as after the loss of a machine: the epoch has the same batches."""
    whole = batches(make(n=26, batch_size=8))
    for world in (2, 3, 4):
        parts = [batches(make(rank, world, n=26, batch_size=8)) for rank in range(world)]
        assert [set(chain(*shares)) for shares in zip(*parts, strict=True)] == [set(batch) for batch in whole]


def test_size_of_a_batch_is_that_of_all_devices():
    """The last batch is smaller."""
    sampler = make(1, 2, n=8 + 5, batch_size=8)
    assert [sampler.size(0), sampler.size(1)] == [8, 5]


@pytest.mark.parametrize(("n", "world"), [(11, 2), (12, 2), (3, 4), (9, 4), (16, 4)])
def test_validation_is_divided_evenly(n, world):
    """Every device takes as many steps as the others; put together in turn and cut off, every image is there once."""
    parts = [batches(make(rank, world, n=n, batch_size=4, seed=None)) for rank in range(world)]
    assert len({tuple(map(len, part)) for part in parts}) == 1
    joined = np.array([list(chain(*part)) for part in parts]).T.ravel()[:n]
    assert joined.tolist() == list(range(n))


def test_goes_on_within_an_epoch():
    """The rest of the epoch, and then whole epochs again."""
    steady, resumed = make(), make()
    expected = [batches(steady, epoch) for epoch in (2, 3)]
    resumed.start_at(2, 3)
    assert resumed.first_batch == 3
    assert batches(resumed, 2) == expected[0][3:]
    assert batches(resumed, 3) == expected[1]
    assert resumed.first_batch == 0
    assert len(resumed) == len(steady)


CLASSES = np.array([0] * 50 + [1] * 9 + [2] * 3)


def balanced(epoch=0, seed=0):
    sampler = make(n=len(CLASSES), seed=seed, batch_size=5, classes=CLASSES)
    return np.array(list(chain(*batches(sampler, epoch))))


def test_balanced_classes_come_equally_often():
    """As many draws as images, the same number of each class, whichever class gets the rest."""
    for epoch in range(5):
        draws = balanced(epoch)
        counts = np.bincount(CLASSES[draws % len(CLASSES)])
        assert counts.sum() >= len(CLASSES) - 1
        assert counts.max() - counts.min() <= 2


def test_balanced_images_come_again_only_after_all_others():
    """Within a class each image comes as often as every other, give or take one, and each time as another draw."""
    draws = balanced()
    assert len(np.unique(draws)) == len(draws)
    times = np.bincount(draws % len(CLASSES), minlength=len(CLASSES))
    for label in range(3):
        assert np.ptp(times[label == CLASSES]) <= 1


def test_balanced_order_depends_on_seed_and_epoch():
    """The same again for the same seed and epoch, another for others."""
    assert balanced().tolist() == balanced().tolist()
    assert balanced().tolist() != balanced(epoch=1).tolist()
    assert balanced().tolist() != balanced(seed=1).tolist()


def test_balanced_shows_over_epochs_all_images_of_a_large_class():
    """An image that is left out of one epoch comes in another."""
    seen = set(np.concatenate([balanced(epoch) for epoch in range(20)]) % len(CLASSES))
    assert seen == set(range(len(CLASSES)))
