"""A cache is kept below its bound, oldest first, and nothing that is not a cache's is ever removed."""

import hashlib
import os
import time

import filelock
import numpy as np
import pandas as pd
import pytest

from factories.images import write_image
from phytoscope.data.cache import shards
from phytoscope.data.cache.array_store import ArrayKind, open_array_store
from phytoscope.data.cache.cache_care import PieceKind, bound_cache, list_cache, prune_cache
from phytoscope.data.cache.pixel_cache import open_pixel_cache
from phytoscope.data.cache_tag import tag_cache
from phytoscope.errors import ConfigError, DataNotFoundError
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.preprocess import Preprocess

DAY_S = 24 * 3600
PART = "facts-01234567-00000000000000000001-89abcdef.parquet"


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    """Two squares a shard."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2 * 16 * 16 * 3)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def build(folder, numbers, size_px=16):
    paths = [write_image(folder.parent / "images" / f"{number}.png", seed=number) for number in numbers]
    names = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    manifest = pd.DataFrame({"path": list(map(str, paths)), "sha256": names})
    preprocess = Preprocess(size_px, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    return open_pixel_cache(manifest, preprocess, folder, workers=1, progress=SilentProgress())


def make_older(cache, days):
    for place in cache.shards:
        moment = time.time() - days * DAY_S
        os.utime(place / "last_use", (moment, moment))


def write_old_cache(folder, name="0123456789abcdef01234567"):
    (folder / name).mkdir(parents=True)
    np.save(folder / name / "pixels.npy", np.zeros((1, 4, 4, 3), dtype=np.uint8))
    (folder / name / "sha256.txt").write_text("00\n", encoding="ascii")
    return folder / name


def write_facts(folder):
    (folder / "facts").mkdir(parents=True)
    (folder / "facts" / PART).write_bytes(b"PAR1")
    (folder / "facts" / ".lock").touch()
    tag_cache(folder / "facts")


def store_arrays(folder, kind=ArrayKind.features, count=2):
    store = open_array_store(folder, kind, {"weights": "w"}, (5,))
    return store.complete([f"{number}" for number in range(count)], lambda places: [np.ones((len(places), 5))])


def kinds(folder):
    return sorted({piece.kind for piece in list_cache(folder)})


def test_everything_is_listed_as_what_it_is(folder):
    """Pixels, those of older versions, facts, leftovers and what is foreign."""
    cache = build(folder, range(3))
    write_old_cache(folder)
    write_facts(folder)
    store_arrays(folder, ArrayKind.features)
    store_arrays(folder, ArrayKind.activations, count=4)
    (folder / "pixels" / next(iter(cache.shards)).parent.name / ".shard-0123456789abcdef.abcdefgh.tmp").mkdir()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    pieces = list_cache(folder)
    assert kinds(folder) == sorted(PieceKind)
    pixels = [piece for piece in pieces if piece.kind is PieceKind.pixels]
    assert {piece.place for piece in pixels} == cache.shards
    assert sum(piece.pictures for piece in pixels) == 3
    assert {piece.size_px for piece in pixels} == {16}
    arrays = sorted((piece.kind.value, piece.pictures) for piece in pieces if "arrays" in piece.place.parts)
    assert arrays == [("activations", 4), ("features", 2)]
    assert sum(piece.size_bytes for piece in pixels) > 3 * 16 * 16 * 3


def test_longest_unused_goes_first(folder):
    """Beyond the bound the oldest shards go, and no more than needed."""
    old, new = build(folder, range(4)), build(folder, range(10, 14))
    make_older(old, days=5)
    sizes = {piece.place: piece.size_bytes for piece in list_cache(folder)}
    pruned = prune_cache(folder, max_bytes=sum(sizes.values()) - 1)
    assert len(pruned.removed) == 1
    assert pruned.removed[0].place in old.shards
    assert pruned.left_bytes == sum(sizes.values()) - pruned.freed_bytes
    assert build(folder, range(10, 14)).built == 0
    assert build(folder, range(4)).built == 2
    assert new.pixels[:].shape == (4, 16, 16, 3)


def test_opening_counts_as_use(folder):
    """What was opened today is not old, whenever it was built."""
    make_older(build(folder, range(2)), days=40)
    build(folder, range(2))
    assert prune_cache(folder, older_than_s=30 * DAY_S).removed == []


def test_older_than(folder):
    """Only what was not used for so long goes, whatever its size."""
    old = build(folder, range(2))
    build(folder, range(10, 12))
    make_older(old, days=40)
    pruned = prune_cache(folder, older_than_s=30 * DAY_S)
    assert {piece.place for piece in pruned.removed} == old.shards
    assert not any(place.exists() for place in old.shards)


def test_features_count_and_go_as_pixels_do(folder):
    """What was computed of images is kept below the same bound, and what was not used for longest goes first."""
    cache, arrays = build(folder, range(2)), store_arrays(folder)
    for place in arrays.places:
        moment = time.time() - 5 * DAY_S
        os.utime(place / "last_use", (moment, moment))
    total = sum(piece.size_bytes for piece in list_cache(folder))
    pruned = prune_cache(folder, max_bytes=total - 1)
    assert {piece.place for piece in pruned.removed} == arrays.places
    assert all(place.exists() for place in cache.shards)
    assert len(list(folder.glob("arrays/*"))) == 1  # the lock alone


def test_dry_run_leaves_everything(folder):
    """What would go is told and stays."""
    cache = build(folder, range(4))
    pruned = prune_cache(folder, max_bytes=0, dry_run=True)
    assert {piece.place for piece in pruned.removed} == cache.shards
    assert build(folder, range(4)).built == 0


def test_everything_goes_but_what_is_foreign(folder):
    """Facts too, files of others never, those inside our own folders included."""
    cache = build(folder, range(3))
    write_old_cache(folder)
    write_facts(folder)
    key = next(iter(cache.shards)).parent
    foreign = [folder / "notes.txt", folder / "pixels" / "thesis.doc", key / "mine.csv"]
    for path in foreign:
        path.write_text("mine", encoding="utf-8")
    prune_cache(folder, everything=True)
    assert kinds(folder) == [PieceKind.other]
    assert all(path.read_text(encoding="utf-8") == "mine" for path in foreign)


@pytest.mark.parametrize(
    ("name", "tagged"), [("facts-2024.parquet", True), ("facts-2024.parquet", False), (PART, False)]
)
def test_facts_of_somebody_else_stay(folder, name, tagged):
    """A folder `facts` is ours by our mark in it and by the names of all its files, not by its own name."""
    write_facts(folder)
    (folder / "facts" / name).write_bytes(b"mine")
    if not tagged:
        (folder / "facts" / "CACHEDIR.TAG").unlink()
    build(folder, range(2))
    pruned = prune_cache(folder, everything=True)
    assert PieceKind.facts not in {piece.kind for piece in pruned.removed}
    assert (folder / "facts" / name).read_bytes() == b"mine"


def test_facts_that_somebody_writes_stay(folder):
    """While another process writes facts none are removed, and that is told; afterwards they go."""
    write_facts(folder)
    with filelock.FileLock(folder / "facts" / ".lock"):
        pruned = prune_cache(folder, everything=True)
    assert ([piece.kind for piece in pruned.busy], pruned.removed) == ([PieceKind.facts], [])
    assert (folder / "facts" / PART).exists()
    assert [piece.kind for piece in prune_cache(folder, everything=True).removed] == [PieceKind.facts]
    assert list_cache(folder) == []


def test_empty_preparation_is_removed(folder):
    """No empty folders stay behind."""
    build(folder, range(2))
    prune_cache(folder, everything=True)
    assert [entry.suffix for entry in (folder / "pixels").iterdir()] in ([], [".lock"])


def test_folder_with_other_files_is_no_part_of_the_cache(folder):
    """A folder that only looks like ours, with something else in it, stays."""
    build(folder, range(2))
    old = write_old_cache(folder)
    (old / "results.csv").write_text("1", encoding="utf-8")
    prune_cache(folder, everything=True)
    assert (old / "pixels.npy").exists()


def test_link_is_not_followed(folder, tmp_path):
    """A link inside the cache never leads to files elsewhere being removed."""
    build(folder, range(2))
    elsewhere = write_old_cache(tmp_path / "elsewhere")
    (folder / elsewhere.name).symlink_to(elsewhere, target_is_directory=True)
    prune_cache(folder, everything=True)
    assert (elsewhere / "pixels.npy").exists()


def test_foreign_folder_is_refused(tmp_path):
    """A folder of photographs is not taken for a cache."""
    write_image(tmp_path / "photos" / "1.png")
    with pytest.raises(ConfigError, match=r"is not a cache of phytoscope \(it holds '1\.png'\)"):
        prune_cache(tmp_path / "photos", everything=True)
    assert (tmp_path / "photos" / "1.png").exists()


def test_absent_folder_is_named(tmp_path):
    """A wrong path is said to be one."""
    with pytest.raises(DataNotFoundError, match=r"there is no cache in '.*nowhere'"):
        list_cache(tmp_path / "nowhere")


def test_old_caches_and_leftovers_always_go(folder):
    """They are of no use to anybody."""
    write_old_cache(folder)
    build(folder, range(2))
    pruned = prune_cache(folder, max_bytes=1e12)
    assert [piece.kind for piece in pruned.removed] == [PieceKind.old_pixels]


def test_what_somebody_builds_stays(folder):
    """While another process writes a preparation, nothing of it is removed, and that is told."""
    cache = build(folder, range(2))
    [place] = cache.shards
    with filelock.FileLock(place.parent.with_name(place.parent.name + ".lock")):
        pruned = prune_cache(folder, everything=True)
    assert ([piece.place for piece in pruned.busy], pruned.removed) == ([place], [])
    assert place.exists()


def test_mapped_pixels_stay_readable(folder):
    """A run that trains does not notice that its pixels were removed."""
    cache = build(folder, range(4))
    expected = cache.pixels[:]
    prune_cache(folder, everything=True)
    assert np.array_equal(cache.pixels[:], expected)


class TestBound:
    """After a run has opened the cache."""

    def test_others_go_and_its_own_stay(self, folder):
        """However small the bound, what the run needs stays."""
        other, mine = build(folder, range(4)), build(folder, range(10, 14))
        make_older(other, days=1)
        make_older(mine, days=9)
        pruned = bound_cache(folder, 0.0, mine.shards)
        assert {piece.place for piece in pruned.removed} == other.shards
        assert all(place.exists() for place in mine.shards)

    def test_just_opened_stays(self, folder):
        """What another run opened a moment ago may be opened again by its loading processes."""
        other, mine = build(folder, range(4)), build(folder, range(10, 14))
        assert bound_cache(folder, 0.0, mine.shards).removed == []
        assert all(place.exists() for place in other.shards)

    def test_nothing_goes_below_the_bound(self, folder):
        """Age alone removes nothing."""
        old, mine = build(folder, range(4)), build(folder, range(10, 14))
        make_older(old, days=900)
        assert bound_cache(folder, 1e9, mine.shards).removed == []
