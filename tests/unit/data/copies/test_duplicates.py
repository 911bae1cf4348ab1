"""Copies get one duplicate id, through files and the pass over the pixels, and nothing else does."""

import cv2
import numpy as np
import pandas as pd
import pytest

from factories.textures import draw_texture
from phytoscope.data.copies import duplicates
from phytoscope.data.copies.duplicates import add_duplicate_ids, find_near_duplicates
from phytoscope.data.facts.image_facts import ImageFacts, read_image_facts
from phytoscope.errors import DataValidationError
from phytoscope.schema.progress import SilentProgress


def save(folder, name, pixels, quality=95):
    path = folder / name
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]), options)
    return str(path)


def look_at(folder, paths):
    """Facts of the files and the manifest they give."""
    facts = read_image_facts(paths, folder / "facts", max_megapixels=10, workers=2, progress=SilentProgress())
    return pd.DataFrame({"sample_id": paths, "path": paths, "sha256": facts.table["sha256"]}), facts


def clusters_of(manifest):
    """Sets of file names that share a duplicate id."""
    names = manifest["path"].str.rpartition("/")[2]
    return {frozenset(part) for _, part in names.groupby(manifest["duplicate_id"].to_numpy()) if len(part) > 1}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Twelve pictures; the first has copies of every kind, the second the same bytes under another name."""
    folder = tmp_path_factory.mktemp("planted")
    pictures = [draw_texture(160, 160, seed) for seed in range(12)]
    paths = [save(folder, f"{seed:02d}.png", pixels) for seed, pixels in enumerate(pictures)]
    first = pictures[0]
    paths += [
        save(folder, "jpeg.jpg", first, 60),
        save(folder, "small.jpg", cv2.resize(first, (80, 80), interpolation=cv2.INTER_AREA)),
        save(folder, "mirrored.png", first[:, ::-1]),
        save(folder, "turned.jpg", np.rot90(first), 80),
        save(folder, "bright.png", np.clip(first * 1.08, 0, 255).astype(np.uint8)),
        save(folder, "same bytes.png", pictures[1]),
    ]
    return look_at(folder, paths)


def test_copies_of_all_kinds_share_an_id(planted):
    """Everything made of one picture is one cluster, equal bytes are another, the rest stands alone."""
    manifest, facts = planted
    marked = add_duplicate_ids(manifest, facts, progress=SilentProgress())
    assert clusters_of(marked) == {
        frozenset({"00.png", "jpeg.jpg", "small.jpg", "mirrored.png", "turned.jpg", "bright.png"}),
        frozenset({"01.png", "same bytes.png"}),
    }
    assert "duplicate_id" not in manifest


def test_only_equal_bytes_when_told_so(planted):
    """Without the near ones, the id is the content's hash."""
    manifest, facts = planted
    marked = add_duplicate_ids(manifest, facts, near=False, progress=SilentProgress())
    assert (marked["duplicate_id"] == manifest["sha256"]).all()


def test_ids_do_not_depend_on_the_order(planted):
    """Rows in another order, with another index, get the same ids: the smallest hash of each cluster."""
    manifest, facts = planted
    marked = add_duplicate_ids(manifest, facts, progress=SilentProgress())
    shuffled = manifest.sample(frac=1, random_state=0)
    again = add_duplicate_ids(shuffled, facts, progress=SilentProgress())
    assert (again["duplicate_id"] == marked["duplicate_id"].loc[again.index]).all()
    assert (
        marked.groupby("duplicate_id")["sha256"].min() == marked.groupby("duplicate_id")["sha256"].first().index
    ).all()


def count_reads(facts):
    """Facts that count how often each thumbnail is read."""
    reads = np.zeros(len(facts.table), dtype=int)

    def read_long(column, positions):
        if column == "thumbnail":
            np.add.at(reads, positions, 1)
        return facts.read_long(column, positions)

    return ImageFacts(facts.table, read_long), reads


def test_every_thumbnail_is_read_once(planted, monkeypatch):
    """However few pairs are compared at a time: a thumbnail costs reading a whole part of the facts."""
    monkeypatch.setattr(duplicates, "_PAIRS_PER_BATCH", 2)
    facts, reads = count_reads(planted[1])
    found = find_near_duplicates(facts, np.arange(18), progress=SilentProgress())
    assert found.candidates > 10
    assert reads.max() == 1


@pytest.mark.parametrize("size", [1, 2, 5])
def test_more_thumbnails_than_fit_into_memory(planted, monkeypatch, size):
    """They are read tile by tile, two of them at a time, and the pairs are the same."""
    positions = np.random.default_rng(0).permutation(18)
    expected = find_near_duplicates(planted[1], positions, progress=SilentProgress())
    monkeypatch.setattr(duplicates, "_PICTURES_PER_TILE", size)
    facts, reads = count_reads(planted[1])
    found = find_near_duplicates(facts, positions, progress=SilentProgress())
    assert np.array_equal(found.first, expected.first)
    assert np.array_equal(found.second, expected.second)
    assert reads.max() <= -(-18 // size)


def test_part_of_the_files(planted):
    """A manifest of some of the files is searched among these alone."""
    manifest, facts = planted
    marked = add_duplicate_ids(manifest.iloc[[5, 12, 14, 7]], facts, progress=SilentProgress())
    assert clusters_of(marked) == {frozenset({"jpeg.jpg", "mirrored.png"})}


def test_unknown_file_is_refused(planted):
    """An image that nobody looked at cannot be compared; the message names it."""
    manifest, facts = planted
    with pytest.raises(DataValidationError, match=r"1 images were never looked at: 'nowhere\.png'"):
        add_duplicate_ids(
            manifest.assign(path=["nowhere.png", *manifest["path"][1:]]), facts, progress=SilentProgress()
        )


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_tables(planted, rows):
    """No image and one image have no copies."""
    manifest, facts = planted
    marked = add_duplicate_ids(manifest.iloc[:rows], facts, progress=SilentProgress())
    assert list(marked["duplicate_id"]) == list(manifest["sha256"][:rows])


def test_crowd_of_plain_pictures_stays_linear(tmp_path):
    """Sixty nearly white pictures with different bytes are one cluster, found with few comparisons."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(60):
        pixels = np.full((40, 40, 3), 250, np.uint8)
        pixels[tuple(rng.integers(0, 40, 2))] = rng.integers(240, 250)
        paths.append(save(tmp_path, f"{number}.png", pixels))
    manifest, facts = look_at(tmp_path, paths)
    marked = add_duplicate_ids(manifest, facts, progress=SilentProgress())
    assert len(clusters_of(marked)) == 1
    found = find_near_duplicates(facts, np.arange(60), progress=SilentProgress())
    assert found.candidates <= 60 * (8 + 4)
    assert (found.first < found.second).all()
