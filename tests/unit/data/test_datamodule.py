"""Batches are the same for the same seed and epoch, and every image comes with its own answer."""

import numpy as np
import pytest
import torch

from phytoscope.data.batch_order import EpochBatchSampler
from phytoscope.data.datamodule import PlantDataModule, Samples
from phytoscope.schema.choices import AugmentPreset
from phytoscope.transforms.augment import build_augmentation

NOTHING = build_augmentation(AugmentPreset.none, size_px=4, seed=0)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def make_samples(count, *, first=0, dtype=np.int64):
    """Return samples whose pixels all have the value of their target; the rows run backwards."""
    values = np.arange(first, first + count)
    pixels = np.broadcast_to(values[::-1, None, None, None], (count, 4, 4, 3)).astype(np.uint8)
    return Samples(pixels, np.arange(count)[::-1].copy(), values.astype(dtype))


def make_module(n_train=10, n_val=5, *, augmentation=NOTHING, batch_size=3, seed=0, num_workers=0, **options):
    return PlantDataModule(
        make_samples(n_train),
        make_samples(n_val, first=100),
        augmentation=augmentation,
        batch_size=batch_size,
        seed=seed,
        num_workers=num_workers,
        **options,
    )


def orders(sampler, epochs=(0,)):
    result = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        result.append([positions.tolist() for _, positions in sampler])
    return result


def flatten(batches):
    return [position for batch in batches for position in batch]


def test_order_depends_on_seed_and_epoch_alone():
    """A resumed run that starts at epoch 3 sees the batches of epoch 3."""
    steady, resumed = EpochBatchSampler(20, 4, seed=0), EpochBatchSampler(20, 4, seed=0)
    assert orders(steady, range(4))[3] == orders(resumed, [3])[0]
    first, second = orders(steady, [0, 1])
    assert first != second
    assert orders(EpochBatchSampler(20, 4, seed=1))[0] != first


def test_seed_zero_shuffles():
    """0 is a seed; only None keeps the order."""
    assert flatten(orders(EpochBatchSampler(20, 4, seed=0))[0]) != list(range(20))
    assert flatten(orders(EpochBatchSampler(20, 4, seed=None))[0]) == list(range(20))


@pytest.mark.parametrize(
    ("n", "size", "seed", "limit", "sizes"),
    [
        (10, 3, 0, None, [3, 3, 3]),
        (11, 3, 0, None, [3, 3, 3, 2]),
        (12, 3, 0, None, [3, 3, 3, 3]),
        (10, 3, None, None, [3, 3, 3, 1]),
        (1, 3, 0, None, [1]),
        (3, 1, 0, None, [1, 1, 1]),
        (12, 3, 0, 2, [3, 3]),
        (5, 3, 0, 9, [3, 2]),
        (0, 3, 0, None, []),
    ],
)
def test_sizes_of_the_batches(n, size, seed, limit, sizes):
    """A single image at the end is left out of training and kept in validation; nothing is taken twice."""
    sampler = EpochBatchSampler(n, size, seed=seed, limit_batches=limit)
    batches = orders(sampler)[0]
    assert [len(batch) for batch in batches] == sizes
    assert len(sampler) == len(sizes)
    assert len(set(flatten(batches))) == sum(sizes)


def test_left_out_image_comes_in_another_epoch():
    """Over a few epochs every image is seen."""
    seen = set()
    for epoch in orders(EpochBatchSampler(7, 3, seed=0), range(12)):
        seen |= set(flatten(epoch))
    assert seen == set(range(7))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_image_comes_with_its_answer(num_workers):
    """The value of the pixels is the answer, in both splits and in loading processes too."""
    module = make_module(num_workers=num_workers)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        for images, target, _ in loader:
            assert (images.dtype, images.shape[1:]) == (torch.uint8, (3, 4, 4))
            assert torch.equal(images.reshape(len(images), -1).long(), target[:, None].expand(-1, 48))


def test_validation_keeps_the_order_and_is_not_augmented():
    """Metrics are computed on the images as they are, all of them, whatever the limit for training."""

    def paint_black(pixels, *, index, epoch):
        return np.zeros_like(pixels)

    module = make_module(augmentation=paint_black, limit_batches=1)
    values = torch.cat([images[:, 0, 0, 0] for images, *_ in module.val_dataloader()])
    assert values.tolist() == [100, 101, 102, 103, 104]
    assert [int(images.max()) for images, *_ in module.train_dataloader()] == [0]


def test_augmentation_is_told_image_and_epoch():
    """What changes an image is told its place in the split, not its place in the batch."""
    calls = []

    def note(pixels, *, index, epoch):
        calls.append((epoch, index, int(pixels[0, 0, 0])))
        return pixels

    module = make_module(augmentation=note)
    for epoch in (0, 5):
        module.train_sampler.set_epoch(epoch)
        list(module.train_dataloader())
    assert {epoch for epoch, _, _ in calls} == {0, 5}
    assert all(index == value for _, index, value in calls)
    assert len(calls) == 18


@pytest.mark.parametrize(("dtype", "expected"), [(np.int64, torch.int64), (np.float32, torch.float32)])
def test_answers_keep_their_type(dtype, expected):
    """Class numbers stay whole numbers, weights stay single precision."""
    module = PlantDataModule(
        make_samples(4, dtype=dtype),
        make_samples(4, dtype=dtype),
        augmentation=NOTHING,
        batch_size=2,
        seed=0,
        num_workers=0,
    )
    assert {target.dtype for _, target, _ in module.train_dataloader()} == {expected}


def test_images_lie_in_channels_last_order():
    """The memory layout is the one that convolutions on a processor like best."""
    images, *_ = next(iter(make_module().train_dataloader()))
    assert images.is_contiguous(memory_format=torch.channels_last)
