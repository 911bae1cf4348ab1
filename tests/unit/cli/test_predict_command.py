"""`phytoscope predict` with a table of what is known beside the images."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from factories.images import write_image
from factories.trust import make_trust
from phytoscope import cli
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.models.covariates import Covariate, CovariateEncoder
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import load_package, save_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import OnnxExport, ResizeMode
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess

ENCODER = CovariateEncoder((Covariate("age_days", mean=10.0, std=4.0), Covariate("state", ("dry", "wet"))))


def make_package(place: Path, encoder: CovariateEncoder | None) -> Path:
    """Writes a package of two classes."""
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=32))
    meaning = Meaning(class_names=("rust", "scab"), covariates=encoder)
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", 2, 0.0, spec, meaning.covariate_dim)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    description = ModelDescription(
        name="demo",
        model_id="0123456789abcdef",
        backbone="test_resnet",
        preprocess=Preprocess(32, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct).to_dict(),
        weights_origin="random",
        data_hash="d",
        split_hash="s",
        **describe_meaning(meaning),
    )
    golden = write_image(place.parent / "golden.png")
    save_package(Predictor(description, network.state_dict()), [golden], place, onnx=OnnxExport.never, limitations=[])
    return place


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of three photographs."""
    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


def call(package: Path, photos: Path, *words: str):
    """Answers for the photographs."""
    output = photos.parent / "answers.csv"
    result = CliRunner().invoke(cli.app, ["predict", str(package), str(photos), "--output", str(output), *words])
    return result, pd.read_csv(output) if output.exists() else None


def test_table_is_matched_by_file_name(tmp_path, photos) -> None:
    """Each photograph is answered with its own row, whatever the order; cells that mean nothing are said."""
    package = make_package(tmp_path / "package", ENCODER)
    rows = ["file;age_days;state", "2.png;3,5;wet", "0.png;20;frozen"]
    (tmp_path / "known.csv").write_text("\n".join(rows), encoding="utf-8")
    result, answers = call(package, photos, "--table", str(tmp_path / "known.csv"))
    assert result.exit_code == 0, result.output
    predictor = load_package(package)
    known = [{"age_days": 20}, {}, {"age_days": 3.5, "state": "wet"}]
    expected = [
        predictor.predict(photos / f"{number}.png", covariates=values).probability
        for number, values in enumerate(known)
    ]
    assert answers["probability"].tolist() == pytest.approx(expected, rel=1e-5)
    assert "state: 'frozen' counts as missing; the model knows dry, wet there" in result.stderr
    assert "no row for 1 of the images" in result.stderr


def test_missing_table_is_said_once(tmp_path, photos) -> None:
    """Without a table everything beside the image is missing."""
    result, answers = call(make_package(tmp_path / "package", ENCODER), photos)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("the model also sees age_days, state; without --table they count as missing") == 1
    assert len(answers) == 3


def test_missing_column_is_said(tmp_path, photos) -> None:
    """A table with some of the columns is enough."""
    (tmp_path / "known.csv").write_text("file,state\n0.png,wet\n1.png,dry\n2.png,dry\n", encoding="utf-8")
    result, _ = call(make_package(tmp_path / "package", ENCODER), photos, "--table", str(tmp_path / "known.csv"))
    assert result.exit_code == 0, result.output
    assert "there is no column 'age_days'" in result.stderr
    assert "no row" not in result.stderr


def test_table_without_use_is_refused(tmp_path, photos) -> None:
    """A model that sees the image alone would pass over the table in silence."""
    (tmp_path / "known.csv").write_text("file,state\n0.png,wet\n", encoding="utf-8")
    result, answers = call(make_package(tmp_path / "package", None), photos, "--table", str(tmp_path / "known.csv"))
    assert isinstance(result.exception, ConfigError)
    assert "the model sees the image alone; leave the table out" in str(result.exception)
    assert answers is None


def judge(package: Path, **limits) -> Path:
    """The same package with a model that judges its answers."""
    predictor = load_package(package)
    predictor.trust = make_trust(Task.classification, **limits)
    golden = write_image(package.parent / "golden.png")
    save_package(predictor, [golden], package, onnx=OnnxExport.never, limitations=[])
    return package


def test_verdicts_are_counted_in_words(tmp_path, photos) -> None:
    """How many answers can be acted on, and what speaks against the others."""
    package = judge(make_package(tmp_path / "package", None), least=1.5, smallest_px=100.0)
    result, answers = call(package, photos)
    assert result.exit_code == 0, result.output
    assert "0 accepted, 3 to review, 0 rejected" in result.stdout
    assert "3 x the model is not sure enough" in result.stdout
    assert "3 x too few pixels: come closer, or send the original picture" in result.stdout
    assert answers["verdict"].tolist() == ["review"] * 3


def test_older_package_is_said_to_judge_nothing(tmp_path, photos) -> None:
    """One remark says why columns are empty and what to do."""
    result, answers = call(make_package(tmp_path / "package", None), photos)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("holds nothing to judge its answers by") == 1
    assert answers["verdict"].isna().all()


def test_nothing_could_be_read(tmp_path) -> None:
    """The command fails with the first reason, and the table says all of them."""
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    result, answers = call(make_package(tmp_path / "package", None), tmp_path / "photos")
    assert isinstance(result.exception, DataValidationError)
    match = r"none of the 2 images could be read, the first one is .*a\.png': .* says for each what is wrong"
    assert re.search(match, str(result.exception))
    assert answers["error"].notna().all()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--engine-set", "cores=2"], "are for --engine ray"),
        (["--engine", "ray", "--engine-set", "gpus=1"], "predict computes on processor cores"),
    ],
)
def test_settings_of_an_engine_without_use_are_refused(tmp_path, photos, words, text) -> None:
    """A setting that would do nothing is refused before anything is loaded or started."""
    result, answers = call(tmp_path / "package", photos, *words)
    assert isinstance(result.exception, ConfigError)
    assert text in str(result.exception)
    assert answers is None
