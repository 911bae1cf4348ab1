"""A package behind MLflow's interface answers as the Predictor does."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import yaml

import phytoscope
from factories.mlflow_stores import Told, find_port, make_store, started
from factories.packages import MEANINGS, draw_photo, make_package
from phytoscope.errors import PackageError
from phytoscope.schema.artifact import read_json
from phytoscope.schema.verdict import REASON_WORDS
from phytoscope.track.mlflow_client import answering
from phytoscope.track.pyfunc import save_model
from phytoscope.track.pyfunc_answers import PackageAnswers
from phytoscope.track.pyfunc_columns import list_answer_columns

KNOWN = {"age": 12.0, "state": "wet"}


@pytest.fixture(params=list(MEANINGS))
def meaning(request) -> str:
    """Every kind of model."""
    return request.param


def keep(package: Path, folder: Path) -> Path:
    """Writes the MLflow model of a package."""
    with answering("sqlite:///unused.db"):
        save_model(package, folder)
    return folder


def load(folder: Path):
    """Loads a model as a user of MLflow does."""
    with answering("sqlite:///unused.db"):
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(folder))


def test_model_answers_as_the_predictor(meaning, tmp_path) -> None:
    """Number for number and word for word, for several images at once, with what is known beside them."""
    predictor = make_package(tmp_path / "package", meaning)
    model = load(keep(tmp_path / "package", tmp_path / "model"))
    photos = [draw_photo(tmp_path / f"{number}.png", number) for number in range(3)]
    known = KNOWN if predictor.meaning.covariates is not None else {}
    table = pd.DataFrame([{"image": photo.read_bytes(), **known} for photo in photos])
    answers = model.predict(table)
    assert list(answers) == list(list_answer_columns(predictor.description))
    assert list(answers) == [column.name for column in model.metadata.signature.outputs]
    for row, photo in zip(answers.to_dict("records"), photos, strict=True):
        right = predictor.predict(photo, covariates=known)
        assert row["prediction"] == (pytest.approx(right.value) if right.label is None else right.label)
        assert row["verdict"] == right.verdict
        assert (row["reasons"] or "") == "; ".join(REASON_WORDS[reason] for reason in right.reasons)
        assert row["novelty"] == pytest.approx(right.novelty, rel=1e-4)
        assert row["error"] is None
        for name, probability in right.probabilities.items():
            assert row[f"prob/{name}"] == pytest.approx(probability, abs=1e-6)
        if right.value is not None:
            assert (row["lower"], row["upper"]) == pytest.approx((right.lower, right.upper))
            assert row["unit"] == "g"
        if "leaves" in right.units:
            assert row["prediction/leaves"] == pytest.approx(vars(right)["values"]["leaves"])
            assert row["upper/leaves"] == pytest.approx(right.uppers["leaves"])


def test_what_is_known_counts_and_may_be_missing(tmp_path) -> None:
    """Columns beside the image change the answer; they may be left out, and what is not understood is remarked."""
    predictor = make_package(tmp_path / "package", "several")
    model = load(keep(tmp_path / "package", tmp_path / "model"))
    image = draw_photo(tmp_path / "a.png").read_bytes()
    alone = model.predict(pd.DataFrame({"image": [image]}))
    one = model.predict(pd.DataFrame({"image": [image], "age": [20.0]}))
    strange = model.predict(pd.DataFrame({"image": [image], "state": ["frozen"]}))
    assert alone["prediction"][0] == pytest.approx(predictor.predict(image).value)
    assert one["prediction"][0] == pytest.approx(predictor.predict(image, covariates={"age": 20.0}).value)
    assert one["prediction"][0] != pytest.approx(alone["prediction"][0])
    assert strange["prediction"][0] == pytest.approx(alone["prediction"][0])
    assert "'frozen' counts as missing" in strange["remarks"][0]
    assert alone["remarks"][0] is None


@pytest.mark.parametrize("bad", [b"", b"no image", "text", None, 3])
def test_bad_image_does_not_spoil_the_others(tmp_path, bad) -> None:
    """Its row says why and nothing else; the others are answered, in their order."""
    predictor = make_package(tmp_path / "package")
    photos = [draw_photo(tmp_path / f"{number}.png", number).read_bytes() for number in range(40)]
    answers = PackageAnswers(tmp_path / "package").answer(pd.DataFrame({"image": [*photos[:35], bad, *photos[35:]]}))
    assert answers["error"].notna().sum() == 1
    assert answers["error"][35]
    assert answers["prediction"][35] is None
    assert answers["probability"][35] is None
    good = answers.drop(index=35)
    assert good["prediction"].tolist() == [predictor.predict(photo).label for photo in photos]


def test_numbers_stay_numbers(tmp_path) -> None:
    """A column without gaps can be calculated with, a gap is None and not NaN; no rows at all give no rows."""
    make_package(tmp_path / "package", "number", judged=False)
    answers = PackageAnswers(tmp_path / "package")
    image = draw_photo(tmp_path / "a.png").read_bytes()
    for images in ([image, b"no"], [b"no"], [image], [image, image], []):
        table = answers.answer(pd.DataFrame({"image": images}))
        assert len(table) == len(images)
        assert str(table["prediction"].dtype) == ("object" if b"no" in images else "float64")
        assert table["verdict"].tolist() == table["novelty"].tolist() == [None] * len(images)
        assert not any(isinstance(cell, float) and np.isnan(cell) for row in table.to_numpy().tolist() for cell in row)


def test_model_folder(meaning, tmp_path) -> None:
    """It holds the package as it is, a text file that loads it, and nothing that is unpickled."""
    make_package(tmp_path / "package", meaning)
    model = keep(tmp_path / "package", tmp_path / "model")
    files = [path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()]
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib", ".pyc"))]
    parts = read_json(tmp_path / "package" / "package.json")["sha256"]
    assert {f"artifacts/package/{name}" for name in parts} < {*files}
    assert f"phytoscope=={phytoscope.__version__}" in (model / "requirements.txt").read_text().splitlines()
    about = yaml.safe_load((model / "MLmodel").read_text())
    assert about["flavors"]["python_function"]["model_code_path"] == "pyfunc_model.py"
    inputs = json.loads(about["signature"]["inputs"])
    assert inputs[0] == {"type": "binary", "name": "image", "required": True}
    has_more = MEANINGS[meaning].covariates is not None
    assert [column["name"] for column in inputs[1:]] == (["age", "state"] if has_more else [])
    assert str(tmp_path) not in (model / "MLmodel").read_text()


def test_example_is_a_golden_image(tmp_path) -> None:
    """What MLflow shows as an example is answered as the package promised."""
    predictor = make_package(tmp_path / "package", "several")
    model = load(keep(tmp_path / "package", tmp_path / "model"))
    example = model.input_example
    golden = read_json(tmp_path / "package" / "golden.json")[0]
    assert example["image"][0] == (tmp_path / "package" / golden["image"]).read_bytes()
    known = {"age": example["age"][0], "state": example["state"][0]}
    assert known == golden["covariates"]
    assert predictor.predict(tmp_path / "package" / golden["image"], covariates=known).value == pytest.approx(
        golden["answer"][0], rel=1e-4
    )


@pytest.mark.parametrize(("name", "content"), [("package.json", "{}"), ("golden.json", "[]"), ("golden.json", "{}")])
def test_package_that_cannot_be_used(tmp_path, name, content) -> None:
    """The error names the file."""
    make_package(tmp_path / "package")
    (tmp_path / "package" / name).write_text(content)
    with pytest.raises(PackageError, match=name.replace(".", r"\.")):
        keep(tmp_path / "package", tmp_path / "model")


@pytest.mark.slow
def test_mlflow_serves_it(tmp_path) -> None:
    """A real `mlflow models serve` of what a run left answers the golden images as the Predictor does."""
    told = Told(tmp_path / "run", make_store(tmp_path / "store"))
    told.log.begin("identity", name="leaves")
    predictor = make_package(told.root / "package", "classes and more")
    told.log.package(told.root / "package")
    model = told.tell()["model_uri"]
    port = find_port()
    words = ["models", "serve", "-m", model, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    golden = [told.root / "package" / row["image"] for row in read_json(told.root / "package" / "golden.json")]
    images = [base64.b64encode(path.read_bytes()).decode() for path in golden]
    rows = [[images[0], 12.0, "dry"], [images[1], None, None], [base64.b64encode(b"no image").decode(), 1.0, "wet"]]
    address = f"http://127.0.0.1:{port}"
    env["MLFLOW_TRACKING_URI"] = told.client.tracking_uri
    with started([sys.executable, "-m", "mlflow", *words], f"{address}/ping", **env):
        asked = {"dataframe_split": {"columns": ["image", "age", "state"], "data": rows}}
        answer = requests.post(f"{address}/invocations", json=asked, timeout=120)
        assert answer.status_code == 200, answer.text
        first, second, bad = json.loads(answer.text, parse_constant=pytest.fail)["predictions"]
        refused = requests.post(f"{address}/invocations", json={"dataframe_records": [{"picture": "x"}]}, timeout=120)
    right = predictor.predict(golden[0], covariates={"age": 12.0, "state": "dry"})
    assert (first["prediction"], first["verdict"]) == (right.label, right.verdict)
    assert first["probability"] == pytest.approx(right.probability, abs=1e-5)
    assert second["probability"] == pytest.approx(predictor.predict(golden[1]).probability, abs=1e-5)
    assert bad["prediction"] is None
    assert "not an image" in bad["error"]
    assert refused.status_code == 400


def test_columns_need_neither_mlflow_nor_torch() -> None:
    """The columns are known without loading a library of learning."""
    code = "import sys, phytoscope.track.pyfunc; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
