"""`phytoscope explain`: a folder with a page, a table and pictures, and clear words when it cannot be made."""

import sys

import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from factories.images import write_image
from phytoscope import cli
from phytoscope.errors import ConfigError, DataNotFoundError, MissingDependencyError, PackageError
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import save_package
from phytoscope.predict.package_archive import pack_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import OnnxExport, ResizeMode
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess

SIDE = 64


@pytest.fixture
def run(tmp_path):
    """The folder of a run that holds a package of two classes."""
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=SIDE))
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", 2, 0.0, spec)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    description = ModelDescription(
        name="demo",
        model_id="0123456789abcdef",
        backbone="test_resnet",
        preprocess=Preprocess(SIDE, ResizeMode.squash, spec.interpolation, spec.mean, spec.std).to_dict(),
        weights_origin="random",
        data_hash="d",
        split_hash="s",
        **describe_meaning(Meaning(class_names=("rust", "scab"))),
    )
    golden = write_image(tmp_path / "golden.png", height=40, width=40)
    place = tmp_path / "run" / "package"
    save_package(Predictor(description, network.state_dict()), [golden], place, onnx=OnnxExport.never, limitations=[])
    return tmp_path / "run"


@pytest.fixture
def photos(tmp_path):
    """Two photographs and a file that is none."""
    for number in range(2):
        write_image(tmp_path / "photos" / f"{number}.png", seed=number, height=50, width=70)
    (tmp_path / "photos" / "broken.jpg").write_text("no picture")
    return tmp_path / "photos"


def call(*words):
    """Runs the command."""
    return CliRunner().invoke(cli.app, ["explain", *map(str, words)])


def test_folder_holds_page_table_and_pictures(run, photos, tmp_path) -> None:
    """One row an image in the order of the input, a picture for each that can be read, and the fault of the other."""
    result = call(run, photos, "--output", tmp_path / "why", "--method", "layer_cam")
    assert result.exit_code == 0, result.output
    assert "2 images explained with LayerCAM" in result.output
    assert "2 explained, 1 with an error" in result.output
    table = pd.read_csv(tmp_path / "why" / "explanations.csv")
    assert [name.rpartition("/")[2] for name in table["path"]] == ["0.png", "1.png", "broken.jpg"]
    assert "not an image in a known format" in table["error"].iloc[2]
    for picture in table["picture"].iloc[:2]:
        with Image.open(tmp_path / "why" / picture) as shown:
            assert shown.size == (2 * SIDE, SIDE)
    assert table["deletion"].iloc[:2].between(0, 1).all()
    assert (tmp_path / "why" / "explanations.html").read_text(encoding="utf-8").count("data:image/jpeg") == 4


def test_package_alone_will_do_and_an_older_folder_is_replaced_only_on_demand(run, photos, tmp_path) -> None:
    """The same folder is written again with --overwrite, and never one that is not ours."""
    words = (run / "package", photos / "0.png", "--output", tmp_path / "why")
    assert call(*words).exit_code == 0
    assert isinstance(call(*words).exception, ConfigError)
    assert call(*words, "--overwrite").exit_code == 0
    refused = call(run, photos / "0.png", "--output", photos, "--overwrite").exception
    assert isinstance(refused, ConfigError)
    assert "is not a folder of explanations" in str(refused)
    assert (photos / "0.png").is_file()


def test_package_may_be_one_file(run, photos, tmp_path) -> None:
    """A .phyto file will do as well as its folder."""
    pack_package(run / "package", tmp_path / "leaves.phyto")
    result = call(tmp_path / "leaves.phyto", photos / "0.png", "--output", tmp_path / "why", "--method", "layer_cam")
    assert result.exit_code == 0, result.output


def test_mistakes_are_named(run, photos, tmp_path, monkeypatch) -> None:
    """Wrong package, no such image, no image at all, a method that does not fit, and a missing extra."""
    output = ("--output", tmp_path / "why")
    assert isinstance(call(photos, photos, *output).exception, PackageError)
    assert isinstance(call(run, photos / "none.png", *output).exception, DataNotFoundError)
    (tmp_path / "empty").mkdir()
    assert isinstance(call(run, tmp_path / "empty", *output).exception, DataNotFoundError)
    wrong = call(run, photos, *output, "--method", "attention_rollout").exception
    assert "vision transformer" in str(wrong)
    assert call(run, photos, *output, "--method", "magic").exit_code == 2
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    assert isinstance(call(run, photos, *output).exception, MissingDependencyError)
    assert not (tmp_path / "why").exists()


def test_only_unreadable_images_are_still_a_table(run, photos, tmp_path) -> None:
    """Nothing to explain is not a failure of the command: the table says why."""
    result = call(run, photos / "broken.jpg", "--output", tmp_path / "why")
    assert result.exit_code == 0, result.output
    assert "0 explained, 1 with an error" in result.output
    assert len(pd.read_csv(tmp_path / "why" / "explanations.csv")) == 1
