"""The same image gives the same numbers in training, evaluation and prediction."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from factories.runs import draw_mixed_folder, draw_mixed_table, record_calls, run_command, run_tiny, run_words
from phytoscope.predict.batch import predict_files
from phytoscope.predict.package import load_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import read_json
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import PATH, PREDICTION, PROB_PREFIX, SPLIT
from phytoscope.train.tasks import ClassificationTask, RegressionTask

TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-4
CASES = [
    pytest.param((draw_mixed_folder, "squash", []), id="classes-squash"),
    pytest.param((draw_mixed_folder, "letterbox", []), id="classes-letterbox", marks=pytest.mark.slow),
    pytest.param((draw_mixed_folder, "crop", []), id="classes-crop", marks=pytest.mark.slow),
    pytest.param((draw_mixed_table, "fixed_scale", ["task.target_transform=log1p"]), id="log-weights-fixed_scale"),
    pytest.param(
        (draw_mixed_table, "letterbox", ["task.target_transform=none"]), id="weights-letterbox", marks=pytest.mark.slow
    ),
]
# Zero weights in the head give equal answers: the network must have learned something before answers are compared.
LEARN = ["trainer.max_epochs=3", "trainer.learning_rate=0.02", "adapt.frozen_epochs=0", "package.onnx=always"]


@dataclass(frozen=True)
class Finished:
    """A finished run with what the network answered in each epoch's validation."""

    run: RunFolder
    validated: list[NDArray[np.float64]]

    @property
    def best_epoch(self) -> pd.Series:
        """The row of the history that belongs to the best checkpoint."""
        checkpoint = torch.load(self.run.checkpoints / "best.ckpt", weights_only=True)
        return pd.read_csv(self.run.history).set_index("epoch", drop=False).loc[checkpoint["epoch"]]

    @property
    def predictions(self) -> pd.DataFrame:
        """Table 7, all splits."""
        return pd.read_parquet(self.run.predictions)


@pytest.fixture(scope="module", params=CASES)
def finished(request, tmp_path_factory) -> Finished:
    """One run the whole way, for each task and way of resizing."""
    draw, resize, more = request.param
    place = tmp_path_factory.mktemp("same-numbers")
    calls: list[tuple] = []
    with pytest.MonkeyPatch.context() as patch:
        for task in (ClassificationTask, RegressionTask):
            patch.setattr(task, "measure", record_calls(task.measure, calls))
        words = run_words(draw(place / "data"), place / "run", f"data.resize={resize}", *LEARN, *more)
        run, _ = run_tiny(words)
    return Finished(run, [call[1] for call in calls])


def answers_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """Probabilities of all classes, or the values, one row an image."""
    columns = [name for name in table if name.startswith(PROB_PREFIX)]
    return table[columns or ["value" if "value" in table else PREDICTION]].to_numpy(dtype=np.float64)


def relative(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Largest difference: absolute for probabilities, as a share of the spread for values."""
    spread = max(1.0, float(np.ptp(expected)))
    return float(np.abs(found - expected).max()) / spread


def test_validation_while_training_equals_evaluation(finished) -> None:
    """What the network answered in the best epoch's validation is what `evaluate` wrote for these images."""
    rows = finished.predictions.query(f"{SPLIT} == 'val'")
    predictor = load_package(finished.run.package)
    outputs = finished.validated[int(finished.best_epoch["epoch"])]
    assert relative(predictor.finish(outputs), answers_of(rows)) < TOLERANCE
    assert np.ptp(answers_of(rows), axis=0).max() > 100 * TOLERANCE, "all answers are the same: nothing is compared"


def test_history_equals_report(finished) -> None:
    """The best epoch's metrics are the metrics of the report's validation split."""
    reported = {
        metric["name"]: metric["value"] for metric in read_json(finished.run.report)["splits"]["val"]["metrics"]
    }
    best = finished.best_epoch
    shared = [name for name in reported if f"val/{name}" in best and reported[name] is not None]
    assert len(shared) >= 2
    for name in shared:
        assert best[f"val/{name}"] == pytest.approx(reported[name], rel=TOLERANCE, abs=TOLERANCE)


def test_predictor_on_files_equals_evaluation(finished) -> None:
    """The loaded package gives, from the original file and one at a time, what `evaluate` wrote from the cache."""
    predictor: Predictor = load_package(finished.run.package)
    rows = finished.predictions
    found = np.stack([predictor.predict_pixels(predictor.prepare(Path(path))[None])[0] for path in rows[PATH]])
    assert relative(found, answers_of(rows)) < TOLERANCE


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batches_equal_evaluation(finished, tmp_path, batch_size) -> None:
    """The size of a batch changes nothing."""
    rows = finished.predictions
    output = tmp_path / "answers.parquet"
    predictor = load_package(finished.run.package)
    paths = [Path(path) for path in rows[PATH]]
    predict_files(predictor, paths, output, probs=True, batch_size=batch_size, progress=SilentProgress())
    assert relative(answers_of(pd.read_parquet(output)), answers_of(rows)) < TOLERANCE


def test_command_line_equals_evaluation(finished, tmp_path) -> None:
    """`phytoscope predict` in a fresh process gives the numbers of `evaluate`, whichever kind of file the image is."""
    rows = finished.predictions
    output = tmp_path / "answers.csv"
    words = [str(finished.run.package), *rows[PATH], "--output", str(output), "--probs"]
    result = run_command("predict", *words)
    assert result.returncode == 0, result.stderr
    answers = pd.read_csv(output)
    assert answers["path"].tolist() == rows[PATH].tolist()
    assert relative(answers_of(answers), answers_of(rows)) < TOLERANCE


def test_onnx_equals_evaluation(finished) -> None:
    """The ONNX file, for any number of images at once, gives the numbers of `evaluate`."""
    predictor = load_package(finished.run.package)
    session = onnxruntime.InferenceSession(str(finished.run.package / "model.onnx"), providers=["CPUExecutionProvider"])
    rows = finished.predictions
    squares = np.stack([predictor.prepare(Path(path)) for path in rows[PATH]]).transpose(0, 3, 1, 2)
    for count in (1, 3, len(rows)):
        (outputs,) = session.run(["outputs"], {"images": np.ascontiguousarray(squares[:count])})
        found = predictor.finish(outputs.astype(np.float64))
        assert relative(found, answers_of(rows)[:count]) < ONNX_TOLERANCE


def test_judgement_is_the_same_from_the_package(finished) -> None:
    """Verdict, reasons, set, interval and novelty of table 8a are those that the package gives for the files."""
    predictor = load_package(finished.run.package)
    table = pd.read_parquet(finished.run.answers)
    for _, row in table[table[SPLIT] == "test"].iterrows():
        answer = predictor.predict(row[PATH])
        assert answer.verdict == row["verdict"]
        assert " ".join(answer.reasons) == row["reasons"]
        assert answer.novelty == pytest.approx(row["novelty"], abs=2e-3)
        if "set" in table:
            assert list(answer.label_set) == json.loads(row["set"])
            assert answer.probability == pytest.approx(row["probability"], abs=TOLERANCE)
        if "lower" in table:
            assert (answer.lower, answer.upper) == pytest.approx((row["lower"], row["upper"]), rel=1e-4)
