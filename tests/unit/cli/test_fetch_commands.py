"""`phytoscope data list|fetch|import`: from a server or another layout to the words of the next command."""

import io
import json
import shlex
import zipfile

import pytest
from typer.testing import CliRunner

from factories.images import encode, make_pixels, write_image
from factories.servers import Served, serve_files
from phytoscope import cli
from phytoscope.cli.compose import compose
from phytoscope.data.fetch.known import KNOWN
from phytoscope.data.read import read_source
from phytoscope.errors import ConfigError


def call(*words):
    """One command; its mistakes come out as they are."""
    result = CliRunner().invoke(cli.app, ["data", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def read_next(output):
    """Source rows that the command shown as the next one reads."""
    words = shlex.split(output.partition("Next:")[2])
    assert words[:2] == ["phytoscope", "inspect"]
    return read_source(compose(words[2:]).data)


def test_list_names_all() -> None:
    """Every known data set with licence and DOI."""
    output = call("list")
    assert all(known.name in output and known.licence.split()[0] in output for known in KNOWN)


def test_fetch_of_split_folders(tmp_path) -> None:
    """Official folders become a table with the split, and the words that are shown read it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as book:
        for seed, name in enumerate(("train/rust/a.jpg", "test/rust/b.jpg", "test/healthy/c.jpg")):
            book.writestr(name, encode(make_pixels(seed=seed), "JPEG"))
    with serve_files({"/set.zip": Served(buffer.getvalue())}) as server:
        output = call("fetch", f"{server.address}/set.zip", "--output", tmp_path / "my set")
    assert "3 images in 2 folders" in output
    rows = read_next(output).rows
    assert rows["label"].tolist() == ["healthy", "rust", "rust"]
    assert rows["meta/split"].tolist() == ["test", "test", "train"]


def test_import_of_boxes(tmp_path) -> None:
    """COCO boxes are cut out and stay together by the image they come from."""
    write_image(tmp_path / "photo.jpg")
    content = {
        "images": [{"id": 1, "file_name": "photo.jpg"}],
        "categories": [{"id": 1, "name": "rust"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "bbox": [n, n, 3, 3]} for n in (1, 2)],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    output = call("import", "coco", tmp_path / "boxes.json", "--images", tmp_path, "--crops", tmp_path / "boxes")
    assert read_next(output).rows["group_id"].tolist() == ["photo.jpg", "photo.jpg"]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("fetch", "plantvilage"), "did you mean 'plantvillage'"),
        (("import", "voc", "x"), "choose imagefolder or coco"),
        (("import", "imagefolder", "x", "--images", "y"), "takes one folder"),
    ],
)
def test_mistakes(words, match) -> None:
    """Each says what is allowed."""
    with pytest.raises(ConfigError, match=match):
        call(*words)


def test_table_is_not_replaced(tmp_path) -> None:
    """A table that is there stays, unless told otherwise."""
    write_image(tmp_path / "rust" / "a.jpg")
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(ConfigError, match="add --overwrite"):
        call("import", "imagefolder", tmp_path)
    call("import", "imagefolder", tmp_path, "--overwrite")
    assert (tmp_path / "labels.csv").read_text() != "mine"
