"""Copies of one picture with different answers are named, and nothing else is."""

import pytest

from factories.tables import make_manifest
from phytoscope.data.copies.disagreements import find_disagreements
from phytoscope.schema.table import Task


def build(groups, answers, clusters, task):
    manifest = make_manifest(groups, answers, task=task)
    return manifest.assign(source_row=range(2, 2 + len(manifest)), duplicate_id=clusters)


def test_copies_with_other_labels_are_named():
    """Each image of the pair names the other and its label; an image with a copy of the same label says nothing."""
    manifest = build(
        ["a", "b", "c", "d", "e"], ["rust", "healthy", "rust", "rust", "blight"], [*"xxyyz"], Task.classification
    )
    found = find_disagreements(manifest, Task.classification, "disease")
    assert list(found["path"]) == ["00000.png", "00001.png"]
    assert list(found["value"]) == ["rust", "healthy"]
    assert found["reason"][0].endswith("'00001.png' has the label 'healthy'")
    assert set(found["column"]) == {"disease"}


@pytest.mark.parametrize(
    ("groups", "answers", "count"),
    [
        (["a", "b"], [1.0, 1.5], 2),
        (["a", "b"], [1.0, 1.019], 0),
        (["a", "b"], [0.0, 0.0], 0),
        (["a", "b"], [-1.0, 1.0], 2),
        (["a", "a"], [1.0, 1.5], 0),
    ],
)
def test_copies_with_other_targets_are_named(groups, answers, count):
    """More than 2 % apart, and not of one plant."""
    manifest = build(groups, answers, ["x", "x"], Task.regression)
    assert len(find_disagreements(manifest, Task.regression, "w")) == count


def test_no_copies_no_rows():
    """The table is empty and has its columns."""
    manifest = build(["a", "b"], ["r", "h"], ["x", "y"], Task.classification)
    assert list(find_disagreements(manifest, Task.classification, "c").columns)[:2] == ["source_row", "path"]
