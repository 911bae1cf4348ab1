"""A split that was given is checked over every image that can be read."""

import shutil

import pandas as pd

from factories.tables import make_source
from phytoscope.audit.evidence import Skipped
from phytoscope.audit.leakage import check_given_split, list_readable, measure_coverage
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.data.split.official_split import GivenSplit
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task


def read(folder, source, known=()):
    """All images of a source that can be read; of those in `known` it is known that they have no copy."""
    facts = read_image_facts(
        list(source.rows["path"]), folder / "facts", max_megapixels=1.0, workers=1, progress=SilentProgress()
    )
    known = pd.DataFrame({"sample_id": known, "duplicate_id": known}, dtype=object)
    return list_readable(source, facts, known, near=True, progress=SilentProgress())


def split_of(**parts):
    """A split by name of the file without its extension."""
    pairs = [(f"{name[1:]}.png", part) for name, part in parts.items()]
    return pd.DataFrame(pairs, columns=["sample_id", "split"])


def test_contradicting_copies_on_both_sides(tmp_path) -> None:
    """The same file with two answers is left out of the manifest, and leaks all the same."""
    source = make_source(tmp_path, ["rust", "healthy", "rust", None], task=Task.classification)
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    shutil.copy(tmp_path / "2.png", tmp_path / "3.png")
    leaks = check_given_split(read(tmp_path, source), split_of(_0="train", _1="test", _2="train", _3="val"))
    assert isinstance(leaks, list)
    assert sorted(leaks) == [
        "'0.png' (train) and '1.png' (test) are copies of the same file",
        "'2.png' (train) and '3.png' (val) are copies of the same file",
    ]


def test_known_copies_are_not_looked_for_again(tmp_path) -> None:
    """Where no row was rejected, the clusters that were found count."""
    rows = read(tmp_path, make_source(tmp_path, ["a", "b"], task=Task.classification), ["0.png", "1.png", "x"])
    assert rows["duplicate_id"].tolist() == ["0.png", "1.png"]


def test_broken_files_and_groups(tmp_path) -> None:
    """What cannot be read cannot leak; images without a group are no group together."""
    source = make_source(tmp_path, ["a", "b", "c", "d"], task=Task.classification, groups=["g", "g", None, None])
    (tmp_path / "1.png").write_bytes(b"")
    rows = read(tmp_path, source)
    assert rows["sample_id"].tolist() == ["0.png", "2.png", "3.png"]
    assert check_given_split(rows, split_of(_0="train", _1="test", _2="train", _3="test")) == []


def test_image_in_two_splits(tmp_path) -> None:
    """A table may list an image twice; that is the worst leak of all."""
    rows = read(tmp_path, make_source(tmp_path, ["a", "b"], task=Task.classification))
    split = pd.concat([split_of(_0="train", _1="train"), split_of(_0="test")])
    assert check_given_split(rows, split) == ["'0.png' stands in test and in train at once"]


def test_split_of_other_data(tmp_path) -> None:
    """Nothing can be said of it."""
    rows = read(tmp_path, make_source(tmp_path, ["a", "b"], task=Task.classification))
    assert isinstance(check_given_split(rows, split_of(_7="train")), Skipped)


def test_coverage() -> None:
    """Images with an answer that it names, and names that are no image's."""
    manifest = pd.DataFrame({"sample_id": ["a", "b", "c"]})
    given = GivenSplit(pd.DataFrame({"sample_id": ["b", "rejected"], "split": "train"}), ["x", "y"])
    coverage = measure_coverage(manifest, given)
    assert (coverage.images, coverage.named, coverage.unknown, coverage.unknown_examples) == (3, 1, 2, ["x", "y"])
