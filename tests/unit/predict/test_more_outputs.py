"""Predictors of several numbers that see more than the image, from the description to the ONNX file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from factories.packages import change_description, change_part
from phytoscope.errors import ConfigError, PackageError
from phytoscope.models.covariates import Covariate, CovariateEncoder
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.models.target import TargetScale
from phytoscope.predict.batch import predict_files
from phytoscope.predict.covariate_rows import CovariateRows
from phytoscope.predict.description import describe_meaning, read_meaning
from phytoscope.predict.package import GOLDEN_NAME, load_package, save_package, verify_package
from phytoscope.predict.prediction_table import predict_table
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import read_json
from phytoscope.schema.choices import OnnxExport, ResizeMode, TargetTransform
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess

ENCODER = CovariateEncoder((Covariate("age", mean=10.0, std=4.0), Covariate("state", ("dry", "wet"))))
NUMBERS = Meaning(
    targets=(
        TargetMeaning("total", "g", TargetScale(TargetTransform.none, 1.0, 2.0, 0.5)),
        TargetMeaning("leaves", "", TargetScale(TargetTransform.log1p, 3.0, 0.6, 0.3, 0.0)),
    ),
    covariates=ENCODER,
)
CLASSES = Meaning(class_names=("rust", "scab", "healthy"), covariates=ENCODER)


def make_predictor(meaning: Meaning) -> Predictor:
    """A predictor whose answers differ with the image and with what is known beside it."""
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=32))
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", meaning.outputs, 0.0, spec, meaning.covariate_dim)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    preprocess = Preprocess(32, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    description = ModelDescription(
        name="demo",
        model_id="0123456789abcdef",
        backbone="test_resnet",
        preprocess=preprocess.to_dict(),
        weights_origin="random initial weights",
        data_hash="d" * 64,
        split_hash="s" * 64,
        **describe_meaning(meaning),
    )
    return Predictor(description, network.state_dict())


@pytest.fixture(params=[NUMBERS, CLASSES], ids=["numbers", "classes"])
def predictor(request) -> Predictor:
    """A predictor for each task."""
    return make_predictor(request.param)


@pytest.fixture
def several() -> Predictor:
    """A predictor of two numbers."""
    return make_predictor(NUMBERS)


@pytest.mark.parametrize("meaning", [NUMBERS, CLASSES, dataclasses.replace(NUMBERS, covariates=None)])
def test_description_says_it_all(meaning) -> None:
    """What is written into `package.json` and read again means the same."""
    description = make_predictor(meaning).description
    again = ModelDescription.from_dict(json.loads(json.dumps(description.to_dict())))
    assert read_meaning(again) == meaning
    assert again.outputs == meaning.outputs


def test_old_packages_load() -> None:
    """A description from before there were further targets has one output and sees the image alone."""
    content = make_predictor(dataclasses.replace(NUMBERS, targets=NUMBERS.targets[:1])).description.to_dict()
    for name in ("more_targets", "covariates", "sums"):
        del content[name]
    description = ModelDescription.from_dict(content)
    assert (description.outputs, description.units) == (1, {"total": "g"})
    assert read_meaning(description).covariate_dim == 0


def test_every_target_has_value_and_unit(several, photo) -> None:
    """The main target first, under the users' names; `value` and `unit` are those of the main one."""
    answer = several.predict(photo("plant.png"), covariates={"age": 12, "state": "dry"})
    assert list(answer.values) == ["total", "leaves"]
    assert answer.units == {"total": "g", "leaves": ""}
    assert (answer.value, answer.unit) == (answer.values["total"], "g")  # noqa: PD011 (an answer, no table)
    assert answer.values["leaves"] >= 0  # noqa: PD011 (an answer, no table)


def test_covariates_count(predictor, photo) -> None:
    """Each of them changes the answer; all missing is what nothing given means."""
    path = photo("plant.png")
    outputs = [
        predictor.predict_pixels(predictor.prepare(path)[None], predictor.encode(values)[0])[0]
        for values in ({}, {"age": 3}, {"age": 4}, {"state": "wet"}, {"state": "dry"})
    ]
    assert all(not np.allclose(one, other) for i, one in enumerate(outputs) for other in outputs[:i])
    np.testing.assert_array_equal(outputs[0], predictor.predict_pixels(predictor.prepare(path)[None])[0])


def test_unknown_values_are_said_and_unknown_names_refused(predictor, photo) -> None:
    """A category that the model never saw is missing and said; a slip in a name is an error."""
    answer = predictor.predict(photo("plant.png"), covariates={"state": "frozen"})
    assert answer.remarks == ("state: 'frozen' counts as missing; the model knows dry, wet there",)
    with pytest.raises(ConfigError, match="sees no column 'stat' beside the image; did you mean 'state'"):
        predictor.predict(photo("plant.png"), covariates={"stat": "wet"})


def test_model_of_images_alone_refuses_covariates(photo) -> None:
    """What cannot be used is not taken in silence."""
    alone = make_predictor(dataclasses.replace(CLASSES, covariates=None))
    with pytest.raises(ConfigError, match="the model sees the image alone, but 'age' is given"):
        alone.predict(photo("plant.png"), covariates={"age": 3})


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_table_equals_single_answers(several, batch_size) -> None:
    """One row of covariates belongs to one picture, whatever the batch."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    rows = np.array([3, 0, 2])
    known = pd.DataFrame({"age": [1.0, np.nan, 30.0], "state": ["dry", "wet", None]}, index=[9, 4, 7])
    table = predict_table(several, pixels, rows, covariates=known, batch_size=batch_size, progress=SilentProgress())
    for place, row in enumerate(rows):
        values = {name: value for name, value in known.iloc[place].items() if not pd.isna(value)}
        answer = several.predict_pixels(pixels[row][None], several.encode(values)[0])[0]
        np.testing.assert_allclose(table[["prediction", "prediction/leaves"]].iloc[place], answer, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_table_of_answers(several, photo, tmp_path, suffix) -> None:
    """Value and unit of each target; a row without a picture has none."""
    paths = [photo("a.png"), photo("b.png"), tmp_path / "broken.png"]
    paths[2].write_bytes(b"")
    known = CovariateRows(ENCODER, ["b.png"], pd.DataFrame({"age": [20.0]}))
    output = tmp_path / f"answers{suffix}"
    predict_files(several, paths, output, known=known, progress=SilentProgress())
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    table = readers[suffix](output)
    main = ["path", "prediction", "value", "unit", "lower", "upper"]
    more = [f"{kind}/leaves" for kind in ("value", "unit", "lower", "upper")]
    assert list(table) == [*main, *more, "verdict", "reasons", "novelty", "error"]
    for place, covariates in enumerate([{}, {"age": 20.0}]):
        answer = several.predict(paths[place], covariates=covariates)
        assert table["value"][place] == pytest.approx(answer.value, rel=1e-5)
        assert table["value/leaves"][place] == pytest.approx(answer.values["leaves"], rel=1e-5)  # noqa: PD011 (an answer, no table)
    assert pd.isna(table["value/leaves"][2])
    assert table[["lower", "upper/leaves"]].isna().all(axis=None), "nothing was fitted"
    assert known.unmatched == 1


@pytest.fixture
def package(predictor, photo, tmp_path) -> Path:
    """A package whose golden images have something known beside them."""
    known = [{"age": np.float64(3.0), "state": "wet", "other": "x"}, {"age": np.nan, "state": None}]
    golden = [photo("one.png"), photo("two.png")]
    save_package(
        predictor, golden, tmp_path / "package", onnx=OnnxExport.never, limitations=["Few plants."], known=known
    )
    return tmp_path / "package"


def test_golden_answers_keep_what_was_known(predictor, package) -> None:
    """They are reproduced with it, and differ from those without it."""
    assert verify_package(package) == 0
    rows = read_json(package / GOLDEN_NAME)
    assert [row["covariates"] for row in rows] == [{"age": 3.0, "state": "wet"}, {"age": None, "state": None}]
    alone = predictor.predict_pixels(predictor.prepare(package / rows[0]["image"])[None])[0]
    assert not np.allclose(alone, rows[0]["answer"])


@pytest.mark.parametrize("known", [{"age": "x"}, {"years": 3.0}, [3.0]])
def test_golden_covariates_of_another_model(package, known) -> None:
    """Values that give another answer, unknown names, or no names at all are an error about the package."""
    rows = read_json(package / GOLDEN_NAME)
    rows[0]["covariates"] = known
    change_part(package, GOLDEN_NAME, json.dumps(rows).encode())
    with pytest.raises(PackageError, match=r"package"):
        verify_package(package)


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model.update(covariates={"columns": [{"name": "age"}]}),
        lambda model: model.update(covariates=[1]),
        lambda model: model.update(covariates=None),
        lambda model: model.update(more_targets=[{"name": "x"}]) or model.update(task="regression"),
    ],
)
def test_damaged_description(package, edit) -> None:
    """Whatever does not fit is an error about the package."""
    change_description(package, lambda content: edit(content["model"]))
    with pytest.raises(PackageError, match=r"package|weights"):
        load_package(package)


def test_card_names_inputs_and_outputs(predictor, package) -> None:
    """Every number or class, and every column with what is known of it."""
    card = (package / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "`age` (a number), `state` (dry, wet)" in card
    if predictor.description.task is Task.regression:
        assert "`total` in g and `leaves`" in card


def test_onnx_has_a_second_input(predictor, photo, tmp_path) -> None:
    """`covariates` beside `images`, for any number of images."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    save_package(predictor, [photo("a.png")], tmp_path / "package", onnx=OnnxExport.always, limitations=[])
    place = tmp_path / "package" / "model.onnx"
    session = runtime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    known = ENCODER.encode(pd.DataFrame({"age": [1, 2, None, 4, 5], "state": ["dry", None, "wet", "dry", "wet"]}))
    inputs = {"images": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), "covariates": known}
    (outputs,) = session.run(["outputs"], inputs)
    expected = predictor.predict_pixels(pixels, known)
    np.testing.assert_allclose(predictor.finish(outputs.astype(np.float64)), expected, rtol=1e-4, atol=1e-4)
