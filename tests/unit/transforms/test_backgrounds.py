"""Leaves before other backgrounds: what is replaced, what is refused, and that chance is the seed's alone."""

import cv2
import numpy as np
import pytest
from PIL import Image

from factories.leaves import GREEN, PAPER, draw_leaf
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AugmentPreset
from phytoscope.transforms.augment import FieldAugmentation, build_augmentation, name_changes
from phytoscope.transforms.backgrounds import find_replaceable, read_backgrounds, replace_background

LEAF, TRUTH = draw_leaf(spots=(120, 40, 40), side=96)


def count_paper(pixels):
    """Share of a picture that has the colour of the paper."""
    return float(np.mean(np.all(np.abs(pixels.astype(int) - PAPER) < 14, axis=2)))


def write_pictures(folder, colours):
    folder.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(colours):
        Image.fromarray(np.full((70, 50 + number, 3), colour, dtype=np.uint8)).save(folder / f"{number}.png")
    return str(folder)


def test_paper_goes_and_leaf_stays():
    """Hardly any paper is left on average, and there is about as much leaf as its size allows."""
    before = count_paper(LEAF)
    after = [count_paper(replace_background(LEAF, np.random.default_rng(seed))) for seed in range(40)]
    assert before > 0.5
    assert np.median(after) < 0.03
    spots = [
        np.mean(
            np.all(np.abs(replace_background(LEAF, np.random.default_rng(seed)).astype(int) - (120, 40, 40)) < 45, 2)
        )
        for seed in range(40)
    ]
    assert np.mean(np.array(spots) > 0.002) > 0.8


def test_place_angle_and_size_change():
    """The middle of the leaf moves about, and its size is anything between half and more than the picture."""
    centres, sizes = [], []
    for seed in range(40):
        changed = replace_background(LEAF, np.random.default_rng(seed)).astype(int)
        spots = np.argwhere(np.all(np.abs(changed - (120, 40, 40)) < 40, axis=2))
        if len(spots) > 3:
            centres.append(spots.mean(axis=0))
            sizes.append(len(spots))
    assert np.std(centres, axis=0).min() > 3
    assert max(sizes) > 3 * min(sizes)


@pytest.mark.parametrize("kind", ["full", "empty", "cut_off", "tiny"])
def test_what_cannot_be_cut_out_stays_as_it_is(kind):
    """A close-up, bare paper, a leaf that runs over the border and a speck are left alone."""
    pixels = np.full((96, 96, 3), PAPER, dtype=np.uint8)
    if kind == "full":
        pixels[:] = GREEN
    elif kind == "cut_off":
        pixels[:, 20:] = GREEN
    elif kind == "tiny":
        cv2.circle(pixels, (48, 48), 4, GREEN, -1)
    assert find_replaceable(pixels) is None
    assert replace_background(pixels, np.random.default_rng(0)) is pixels


def test_pictures_of_the_user_are_used(tmp_path):
    """About half of the backgrounds are the user's where a folder is given."""
    magenta = (250, 0, 250)
    backgrounds = read_backgrounds(write_pictures(tmp_path / "own", [magenta]), size_px=96)
    found = 0
    for seed in range(60):
        changed = replace_background(LEAF, np.random.default_rng(seed), backgrounds).astype(int)
        found += np.mean(np.all((changed[..., 0] - changed[..., 1] > 40)[..., None], axis=2)) > 0.1
    assert 15 < found < 45


def test_hash_follows_the_pictures(tmp_path):
    """Other pictures, other cached views; the same pictures elsewhere, the same ones."""
    first = read_backgrounds(write_pictures(tmp_path / "a", [(1, 2, 3), (4, 5, 6)]), size_px=32)
    same = read_backgrounds(write_pictures(tmp_path / "b", [(1, 2, 3), (4, 5, 6)]), size_px=32)
    other = read_backgrounds(write_pictures(tmp_path / "c", [(1, 2, 3), (4, 5, 7)]), size_px=32)
    names = [
        name_changes(build_augmentation(AugmentPreset.field, size_px=32, seed=0, backgrounds=each), AugmentPreset.field)
        for each in (first, same, other)
    ]
    assert names[0] == names[1] != names[2]
    bare = build_augmentation(AugmentPreset.field, size_px=32, seed=0)
    assert name_changes(bare, AugmentPreset.field) not in names
    leaf = build_augmentation(AugmentPreset.leaf, size_px=32, seed=0)
    assert name_changes(leaf, AugmentPreset.leaf) == "leaf"


def test_wrong_folders_are_refused(tmp_path):
    """A missing folder, an empty one and a damaged picture stop before anything is trained, with what to do."""
    with pytest.raises(ConfigError, match="is not a folder"):
        read_backgrounds(str(tmp_path / "absent"), size_px=32)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no picture"):
        read_backgrounds(str(tmp_path / "empty"), size_px=32)
    (tmp_path / "empty" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"broken\.png.*mend or remove"):
        read_backgrounds(str(tmp_path / "empty"), size_px=32)


def test_backgrounds_without_their_preset_are_refused(tmp_path):
    """A setting that would do nothing is an error."""
    backgrounds = read_backgrounds(write_pictures(tmp_path, [(1, 2, 3)]), size_px=32)
    with pytest.raises(ConfigError, match=r"data\.augment=leaf"):
        build_augmentation(AugmentPreset.leaf, size_px=32, seed=0, backgrounds=backgrounds)


@pytest.mark.parametrize("replaced", [0.0, 0.6, 1.0])
def test_share_of_replaced_backgrounds(replaced):
    """As many backgrounds are replaced as asked for; 0 is a share like any other."""
    augmentation = FieldAugmentation(96, seed=0, replaced=replaced, relit=0.0)
    grey = 0
    for index in range(60):
        changed = augmentation(LEAF, index=index, epoch=0).astype(int)
        corner = np.concatenate([changed[:6, :6], changed[-6:, -6:]]).reshape(-1, 3)
        grey += np.median(np.ptp(corner, axis=1)) < 25 and np.std(corner.mean(axis=1)) < 25
    assert grey / 60 == pytest.approx(1 - replaced, abs=0.25)


def test_backgrounds_are_refused_where_nothing_reads_them():
    """The command line says so before anything is read."""
    with pytest.raises(ConfigError, match=r"data\.backgrounds is not read with data\.augment=leaf"):
        compose_config(["data=folder", "data.root=x", "data.backgrounds=y"])
    assert compose_config(["data=folder", "data.root=x", "data.backgrounds=y", "data.augment=field"]) is not None
