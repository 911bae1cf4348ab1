"""Several targets and what is known beside the image, from the table to the answer."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from factories.runs import Sentences, run_command, run_tiny, run_words
from phytoscope.data.synthetic import draw_rosette_dataset
from phytoscope.predict.package import GOLDEN_NAME, load_package, verify_package
from phytoscope.schema.artifact import read_json
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import META_PREFIX, PATH, PREDICTION, SAMPLE_ID, SPLIT

TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-4
MORE = ("fresh_weight_shoot", "fresh_weight_root")
COVARIATES = ("age_days", "condition", "temperature")
ANSWERS = [PREDICTION, *(f"prediction/{name}" for name in MORE)]
SETTINGS = [
    f"data.more_targets=[{','.join(MORE)}]",
    f"data.covariates=[{','.join(COVARIATES)}]",
    "task.sums=['fresh_weight_total = fresh_weight_shoot + fresh_weight_root']",
    "trainer.mode=plain",
    "trainer.max_epochs=3",
    "trainer.learning_rate=0.02",
    "adapt.frozen_epochs=0",
    "package.onnx=always",
]


@dataclass(frozen=True)
class Finished:
    """A finished run and what was known of its plants."""

    run: RunFolder
    said: Sentences

    @property
    def predictions(self) -> pd.DataFrame:
        """Table 7, all splits."""
        return pd.read_parquet(self.run.predictions)

    @property
    def known(self) -> pd.DataFrame:
        """The covariates of the rows of table 7."""
        manifest = pd.read_parquet(self.run.manifest).set_index(SAMPLE_ID).loc[self.predictions[SAMPLE_ID]]
        return manifest[[META_PREFIX + name for name in COVARIATES]].set_axis(COVARIATES, axis=1).reset_index(drop=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Drawn rosettes, some without a root weight, taken the whole way."""
    place = tmp_path_factory.mktemp("more-targets")
    draw_rosette_dataset(place / "data", plants=30, photos_per_plant=2, size_px=64, seed=0)
    empty_cells(place / "data" / "digital_biomass_labels.csv", "fresh_weight_root", every=4)
    words = run_words(["data=farmbot_biomass", f"data.root={place / 'data'}"], place / "run", *SETTINGS)
    return Finished(*run_tiny(words))


def empty_cells(table: Path, column: str, every: int) -> None:
    """Empties the cell of every n-th row."""
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    place = rows[0].index(column)
    for number, row in enumerate(rows[1:]):
        row[place] = "" if number % every == 0 else row[place]
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def values_of(row: pd.Series) -> dict[str, object]:
    """A row as a person hands it over: numbers, words, nothing."""
    return {name: None if pd.isna(value) else value for name, value in row.items()}


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference as a share of each target's spread."""
    return float((np.abs(found - expected).max(axis=0) / np.maximum(np.ptp(expected, axis=0), 1e-12)).max())


def test_every_target_stands_in_the_table(finished) -> None:
    """Predictions of all targets are complete; what nobody weighed is missing beside them and nowhere else."""
    table = finished.predictions
    assert table[ANSWERS].notna().all().all()
    assert (table[ANSWERS].nunique() > len(table) / 4).all()
    assert table["target/fresh_weight_shoot"].notna().all()
    assert 0 < table["target/fresh_weight_root"].isna().sum() < len(table)


def test_declared_sum_is_kept(finished) -> None:
    """The total is shoot and root, in every answer."""
    table = finished.predictions
    total = table["prediction/fresh_weight_shoot"] + table["prediction/fresh_weight_root"]
    np.testing.assert_allclose(table[PREDICTION], total, rtol=1e-6)


def test_report_counts_the_rows_that_are_known(finished) -> None:
    """Each further target has its metrics with unit and number of images, on every split; the page shows them."""
    report, table = read_json(finished.run.report), finished.predictions
    for split, part in report["splits"].items():
        assert [target["name"] for target in part["more_targets"]] == list(MORE)
        for target in part["more_targets"]:
            rows = table[(table[SPLIT] == split) & table[f"target/{target['name']}"].notna()]
            error = rows[f"prediction/{target['name']}"] - rows[f"target/{target['name']}"]
            mae = next(metric for metric in target["metrics"] if metric["name"] == "mae")
            assert (target["n"], target["unit"]) == (len(rows), "")
            assert mae["value"] == pytest.approx(error.abs().mean())
    page = finished.run.report_page.read_text(encoding="utf-8")
    assert 'id="more-targets"' in page
    assert "Predicted against true: fresh_weight_root" in page
    assert {path.name for path in finished.run.figures.glob("*more*.png")} == {
        "predicted_vs_actual_more_1.png",
        "predicted_vs_actual_more_2.png",
    }


def test_predictor_equals_evaluation(finished) -> None:
    """The loaded package gives, image by image with its row's values, what `evaluate` wrote."""
    predictor = load_package(finished.run.package)
    table, known = finished.predictions, finished.known
    found = [
        list(predictor.predict(Path(path), covariates=values_of(known.iloc[row])).values.values())  # noqa: PD011 (an answer, no table)
        for row, path in enumerate(table[PATH])
    ]
    assert relative(np.array(found), table[ANSWERS].to_numpy()) < TOLERANCE


def test_covariates_change_the_answer(finished) -> None:
    """What is known beside the image is seen, and may be missing."""
    predictor = load_package(finished.run.package)
    path = Path(finished.predictions[PATH].iloc[0])
    answers = [
        predictor.predict(path, covariates=covariates)
        for covariates in ({"age_days": 7}, {"age_days": 28}, {}, None, {"condition": "frost"})
    ]
    assert answers[0].value != answers[1].value
    assert answers[2] == answers[3]
    assert answers[4].values == answers[2].values  # noqa: PD011 (an answer, no table)
    assert answers[4].remarks == (
        "condition: 'frost' counts as missing; the model knows control, drought, salinity there",
    )


def test_command_line_equals_evaluation(finished, tmp_path) -> None:
    """`phytoscope predict --table` gives the numbers of `evaluate`; a plant without a row is answered and said."""
    table, known = finished.predictions, finished.known
    listed = known.assign(filename=table[SAMPLE_ID]).iloc[1:]
    listed.to_csv(tmp_path / "known.csv", index=False)
    output = tmp_path / "answers.parquet"
    words = [str(finished.run.package), *table[PATH], "--output", str(output)]
    result = run_command("predict", *words, "--table", str(tmp_path / "known.csv"))
    assert result.returncode == 0, result.stderr
    assert "no row for 1 of the images" in result.stderr
    answers = pd.read_parquet(output)[["value", *(f"value/{name}" for name in MORE)]].to_numpy()
    assert relative(answers[1:], table[ANSWERS].to_numpy()[1:]) < TOLERANCE
    alone = load_package(finished.run.package).predict(Path(table[PATH].iloc[0]))
    assert answers[0, 0] == pytest.approx(alone.value, rel=1e-5)


def test_onnx_equals_evaluation(finished) -> None:
    """The ONNX file has a second input, and gives the numbers of `evaluate` for any number of images."""
    predictor = load_package(finished.run.package)
    session = onnxruntime.InferenceSession(str(finished.run.package / "model.onnx"), providers=["CPUExecutionProvider"])
    table = finished.predictions
    squares = np.stack([predictor.prepare(Path(path)) for path in table[PATH]]).transpose(0, 3, 1, 2)
    encoded = predictor.meaning.covariates.encode(finished.known)
    for count in (1, 3, len(table)):
        inputs = {"images": np.ascontiguousarray(squares[:count]), "covariates": encoded[:count]}
        (outputs,) = session.run(["outputs"], inputs)
        found = predictor.finish(outputs.astype(np.float64))
        spread = np.ptp(table[ANSWERS].to_numpy(), axis=0)
        assert (np.abs(found - table[ANSWERS].to_numpy()[:count]) / spread).max() < ONNX_TOLERANCE


def test_package_proves_itself(finished) -> None:
    """Its golden answers, kept with what was known beside the images, are reproduced; the card tells what it sees."""
    assert verify_package(finished.run.package) < 1e-6
    golden = read_json(finished.run.package / GOLDEN_NAME)
    assert all(set(row["covariates"]) == set(COVARIATES) and len(row["answer"]) == 3 for row in golden)
    assert any(row["covariates"]["age_days"] is not None for row in golden)
    card = (finished.run.package / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "`fresh_weight_root`" in card
    assert "`condition` (control, drought, salinity)" in card
    metrics = read_json(finished.run.package / "package.json")["model"]["metrics"]
    assert metrics["test/fresh_weight_root/mae"] > 0
