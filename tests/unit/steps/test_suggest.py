"""Tests of the list of images to label."""

import csv

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from factories.leaves import draw_leaf
from phytoscope import cli
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import save_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import OnnxExport, ResizeMode
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import PATH
from phytoscope.schema.train_config import ModelConfig
from phytoscope.steps.suggest import COLUMNS, find_unlabelled, suggest_images, write_suggestions
from phytoscope.transforms.preprocess import Preprocess

COLOURS = ((70, 120, 50), (205, 190, 60), (46, 72, 52), (90, 160, 40), (120, 140, 60), (60, 100, 70))


@pytest.fixture(scope="module")
def predictor():
    """Two classes, never trained."""
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=32))
    meaning = Meaning(class_names=("Apple___rust", "Apple___scab"))
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", 2, 0.0, spec)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    prepare = Preprocess(32, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    description = ModelDescription(
        name="demo",
        model_id="0123456789abcdef",
        backbone="test_resnet",
        preprocess=prepare.to_dict(),
        weights_origin="random",
        data_hash="d",
        split_hash="s",
        **describe_meaning(meaning),
    )
    return Predictor(description, network.state_dict())


@pytest.fixture
def photos(tmp_path):
    """Six leaves, the copy of one, and pictures with a fault each."""
    folder = tmp_path / "photos"
    folder.mkdir()
    leaves = [draw_leaf(colour, side=128, seed=place)[0] for place, colour in enumerate(COLOURS)]
    pictures = {f"leaf_{place}.png": pixels for place, pixels in enumerate(leaves)}
    pictures |= {
        "copy.png": leaves[0],
        "dark.png": cv2.convertScaleAbs(leaves[1], alpha=0.1),
        "paper.png": np.full((128, 128, 3), 150, dtype=np.uint8) + np.eye(128, dtype=np.uint8)[:, :, None] * 60,
        "tiny.png": cv2.resize(leaves[2], (40, 40)),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"nothing")
    return folder


def suggest(predictor, sources, n):
    return suggest_images(predictor, sources, n, workers=1, progress=SilentProgress())


def test_usable_and_different_images_are_listed(predictor, photos):
    """No picture with a fault, and of copies one at most."""
    found = suggest(predictor, [photos], 20)
    names = [one.path.name for one in found.images]
    assert len(set(names)) == len(names)
    assert set(names) <= {f"leaf_{place}.png" for place in range(6)} | {"copy.png"}
    assert not {"copy.png", "leaf_0.png"} <= set(names)
    assert found.looked_at == 11
    assert sum(found.skipped.values()) == 4
    assert found.skipped["not readable"] == 1
    assert sum(one.like for one in found.images) == 7


def test_list_and_sheet_are_written(predictor, photos, tmp_path):
    """One row an image with rank, path, reason and answer; the sheet is a picture."""
    found = suggest(predictor, [photos], 3)
    sheet = write_suggestions(found, tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, len(found.images) + 1)]
    assert all(row["why"] and row["answer"].startswith("Apple: ") for row in rows)
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"


def test_nothing_usable_says_why(predictor, photos):
    """Every reason is counted in the message."""
    with pytest.raises(DataValidationError, match=r"none of the 2 images can be used .*1 too small"):
        suggest(predictor, [photos / "tiny.png", photos / "paper.png"], 3)
    with pytest.raises(DataValidationError, match="can be read"):
        suggest(predictor, [photos / "broken.png"], 3)


def test_missing_and_empty_folders(predictor, photos, tmp_path):
    """A wrong name and a folder without images are the user's to mend."""
    with pytest.raises(DataNotFoundError, match="there is no file or folder"):
        suggest(predictor, [photos / "no"], 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="there is no image in"):
        suggest(predictor, [tmp_path / "empty"], 3)


def test_unlabelled_images_of_a_run(tmp_path):
    """They are found from the run and from its package; a run without any says so."""
    (tmp_path / "package").mkdir()
    with pytest.raises(ConfigError, match="not the folder of a run"):
        find_unlabelled(tmp_path / "package")
    table = tmp_path / "unlabelled.parquet"
    pd.DataFrame({PATH: ["a.jpg", "b.jpg"]}).to_parquet(table)
    assert [path.name for path in find_unlabelled(tmp_path)] == ["a.jpg", "b.jpg"]
    assert find_unlabelled(tmp_path / "package") == find_unlabelled(tmp_path)
    pd.DataFrame({PATH: []}).to_parquet(table)
    with pytest.raises(DataNotFoundError, match="no images without a label"):
        find_unlabelled(tmp_path)


def test_command_writes_the_list_and_replaces_nothing(predictor, photos, tmp_path):
    """The command ends with where the list is; an older list stays unless --overwrite is given."""
    package = tmp_path / "package"
    save_package(predictor, [photos / "leaf_0.png"], package, onnx=OnnxExport.never, limitations=[])
    words = ["suggest", str(package), str(photos), "--output", str(tmp_path / "list.csv"), "--n", "2"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "of 11 images to label" in done.output
    assert isinstance(CliRunner().invoke(cli.app, words).exception, ConfigError)
    assert CliRunner().invoke(cli.app, [*words, "--overwrite"]).exit_code == 0
    assert isinstance(CliRunner().invoke(cli.app, [*words[:-3], str(tmp_path / "list.txt")]).exception, ConfigError)
