"""Random changes are the same for the same image in the same epoch, and never touch what carries the answer."""

import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from factories.images import make_pixels
from phytoscope.schema.choices import AugmentPreset
from phytoscope.transforms.augment import build_augmentation

PRESETS = [AugmentPreset.leaf, AugmentPreset.field, AugmentPreset.top_view, AugmentPreset.side_view]
PIXELS = make_pixels(64, 64)


def checksum(preset, *, seed=0, index=3, epoch=2, before=0):
    augmentation = build_augmentation(preset, size_px=64, seed=seed)
    for other in range(before):
        augmentation(PIXELS, index=other, epoch=9)
    return zlib.crc32(augmentation(PIXELS, index=index, epoch=epoch).tobytes())


class Checksums(Dataset):
    def __init__(self, preset):
        self.augmentation = build_augmentation(preset, size_px=64, seed=0)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return zlib.crc32(self.augmentation(PIXELS, index=index, epoch=2).tobytes())


@pytest.mark.parametrize("preset", PRESETS)
def test_result_does_not_depend_on_what_came_before(preset):
    """A resumed run sees what an uninterrupted one would have seen."""
    assert checksum(preset) == checksum(preset, before=5)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("change", [{"seed": 1}, {"index": 4}, {"epoch": 3}])
def test_seed_image_and_epoch_decide(preset, change):
    """Seed 0 is a seed; every image changes in every epoch."""
    many = {checksum(preset, index=number) for number in range(8)}
    others = {checksum(preset, **{"index": number, **change}) for number in range(8)}
    assert many != others


@pytest.mark.parametrize("preset", PRESETS)
def test_workers_change_nothing(preset):
    """Two loading processes give what the main process gives, in the same order."""
    torch.set_num_threads(1)
    alone = [int(value) for value in DataLoader(Checksums(preset), batch_size=None)]
    helped = [int(value) for value in DataLoader(Checksums(preset), batch_size=None, num_workers=2)]
    assert alone == helped


def test_another_process_gives_the_same():
    """Nothing random is left that a new start would draw again."""
    code = (
        "import sys, zlib, numpy as np\n"
        "from phytoscope.schema.choices import AugmentPreset\n"
        "from phytoscope.transforms.augment import build_augmentation\n"
        "pixels = np.frombuffer(sys.stdin.buffer.read(), dtype=np.uint8).reshape(64, 64, 3)\n"
        "change = build_augmentation(AugmentPreset.leaf, size_px=64, seed=0)\n"
        "print(zlib.crc32(change(pixels, index=3, epoch=2).tobytes()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=PIXELS.tobytes(), capture_output=True, check=True)
    assert int(done.stdout) == checksum(AugmentPreset.leaf)


@pytest.mark.parametrize("preset", [AugmentPreset.top_view, AugmentPreset.side_view])
def test_size_of_the_plant_is_never_changed(preset):
    """Where the size is the answer, a disc keeps its area."""
    disc = np.full((160, 160, 3), 40, dtype=np.uint8)
    cv2.circle(disc, (80, 80), 40, (230, 230, 230), -1)
    area = np.count_nonzero(disc[..., 1] > 128)
    augmentation = build_augmentation(preset, size_px=160, seed=0)
    areas = []
    for index in range(40):
        changed = augmentation(disc, index=index, epoch=0)[..., 1].astype(int)
        areas.append(np.count_nonzero(changed > (changed.max() + changed.min()) / 2))
    assert areas == pytest.approx([area] * 40, rel=0.02)


def test_side_view_never_stands_on_its_head():
    """A plant beside the camera has its roots below: the top stays the top."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:32] = 200
    augmentation = build_augmentation(AugmentPreset.side_view, size_px=64, seed=0)
    for index in range(20):
        changed = augmentation(pixels, index=index, epoch=0).astype(int)
        assert changed[:20].mean() > changed[44:].mean() + 50


@pytest.mark.parametrize("preset", list(AugmentPreset))
def test_shape_and_type_are_kept(preset):
    """What goes in as a square of bytes comes out as one, and the original is untouched."""
    before = PIXELS.copy()
    augmentation = build_augmentation(preset, size_px=64, seed=0)
    for index in range(10):
        changed = augmentation(PIXELS, index=index, epoch=0)
        assert (changed.shape, changed.dtype) == ((64, 64, 3), np.uint8)
    assert np.array_equal(PIXELS, before)


def test_none_changes_nothing():
    """Without augmentation, images are as they are."""
    assert build_augmentation(AugmentPreset.none, size_px=64, seed=0)(PIXELS, index=0, epoch=0) is PIXELS
