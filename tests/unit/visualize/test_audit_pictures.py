"""The inspection shows few, small and telling pictures."""

import base64
import io

import pandas as pd
import pytest
from PIL import Image

from factories.audits import build_classification_audit, build_regression_audit
from factories.images import write_image
from phytoscope.visualize import audit_pictures
from phytoscope.visualize.audit_pictures import TILE_PX, choose_by_class, choose_by_size, load_pictures


@pytest.fixture
def manifest(tmp_path):
    paths = [write_image(tmp_path / f"{number}.jpg", number, 300, 200) for number in range(4)]
    (tmp_path / "3.jpg").write_bytes(b"broken")
    return pd.DataFrame({"sample_id": list("abcd"), "path": list(map(str, paths))})


def test_pictures_are_small(manifest):
    """The longer side is that of a tile; unknown and broken ones are left out."""
    found = load_pictures(manifest, ["a", "d", "unknown", "b", "a"])
    assert list(found) == ["a", "b"]
    content = base64.b64decode(found["a"].split(",")[1])
    assert max(Image.open(io.BytesIO(content)).size) == TILE_PX


def test_number_and_bytes_are_bounded(manifest, monkeypatch):
    """The first ones are kept; a picture shown twice counts twice."""
    one = len(load_pictures(manifest, ["a"])["a"])
    monkeypatch.setattr(audit_pictures, "MAX_BYTES", 2 * one)
    assert list(load_pictures(manifest, ["a", "a", "b"])) == ["a"]
    assert list(load_pictures(manifest, ["a", "a", "a", "b"])) == ["b"]
    monkeypatch.setattr(audit_pictures, "MAX_PICTURES", 1)
    assert list(load_pictures(manifest, ["b", "a"])) == ["b"]


def test_nothing_wanted_reads_nothing(manifest):
    """No pictures are no fault."""
    assert load_pictures(manifest, []) == {}


def test_sheets_take_different_groups():
    """Each class shows as many groups as it has."""
    rows = build_classification_audit(class_names=["a", "b"]).manifest
    sheets = choose_by_class(rows, ["b", "a", "gone"])
    assert [sheet.title for sheet in sheets] == ["b", "a"]
    group_of = dict(zip(rows["sample_id"], rows["group_id"], strict=True))
    for sheet in sheets:
        groups = [group_of[tile.sample_id] for tile in sheet.tiles]
        assert len(groups) == 8
        assert len(set(groups)) == 8


@pytest.mark.parametrize("n_groups", [1, 3])
def test_few_groups_are_filled_up(n_groups):
    """A class of one leaf still shows several of its pictures."""
    rows = pd.DataFrame({"sample_id": [str(number) for number in range(20)], "label": "a"})
    rows["group_id"] = [f"g{number % n_groups}" for number in range(20)]
    (sheet,) = choose_by_class(rows, ["a"])
    assert len({tile.sample_id for tile in sheet.tiles}) == 8


def test_many_classes_have_one_picture_each():
    """The number of pictures does not grow with the number of classes without end."""
    names = [f"class {number}" for number in range(80)]
    sheets = choose_by_class(build_classification_audit(class_names=names, n_per_class=3).manifest, names)
    assert len(sheets) == 60
    assert all(len(sheet.tiles) == 1 for sheet in sheets)
    assert choose_by_class(pd.DataFrame({"sample_id": [], "label": [], "group_id": []}), []) == []


def test_sizes_go_from_small_to_large():
    """First and last are the extremes, rows without a target are left out."""
    rows = build_regression_audit().manifest
    rows.loc[3, "target"] = None
    tiles = choose_by_size(rows, "g")
    target = rows.set_index("sample_id")["target"]
    shown = [target[tile.sample_id] for tile in tiles]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (target.min(), target.max())
    assert tiles[0].caption.endswith("\u00a0g")
    assert choose_by_size(rows.iloc[:0], "g") == []
    assert len(choose_by_size(rows.iloc[:2], "g")) == 2
