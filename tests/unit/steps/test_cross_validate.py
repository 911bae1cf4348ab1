"""Cross-validation: nobody is predicted by a network that saw its group, and the ensemble is a model like any other."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factories.runs import TINY, Sentences, draw_mixed_table
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError
from phytoscope.evaluate.regression import compute_rmse
from phytoscope.predict.package import load_package
from phytoscope.predict.reference_files import read_reference
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Task
from phytoscope.steps import RunContext
from phytoscope.steps.cross_validate import cross_validate, hold_out, tabulate_metrics
from phytoscope.steps.ensemble import build_ensemble
from phytoscope.steps.prepared import read_prepared
from phytoscope.trust.observed import Observed
from phytoscope.trust.quantile import group_quantile


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> list[str]:
    """Settings of a tiny regression with two photographs of each plant."""
    root = tmp_path_factory.mktemp("data")
    tiny = [*TINY, "trainer.mode=plain", "model.input_size_px=32", "data.split.folds=3", "package.onnx=never"]
    return [*draw_mixed_table(root, n=48), *tiny, f"paths.cache_dir={root / 'cache'}"]


def work(settings, place: Path, say=None):
    """Cross-validates in a folder."""
    config = compose_config([*settings, f"paths.run_dir={place}"])
    return cross_validate(RunContext(config, RunFolder(place), say=say or Sentences()))


@pytest.fixture(scope="module")
def done(settings, tmp_path_factory):
    """A finished cross-validation."""
    place = tmp_path_factory.mktemp("run") / "run"
    return work(settings, place), place


def read(settings, place: Path):
    """The prepared data of a run."""
    config = compose_config([*settings, f"paths.run_dir={place}"])
    return config, read_prepared(RunContext(config, RunFolder(place)))


def test_every_image_is_predicted_once_by_a_stranger(settings, done):
    """One row for each image outside of test, from the network of its own fold, which never saw its group."""
    result, place = done
    config, prepared = read(settings, place)
    predictions = pd.read_parquet(result.folder.predictions)
    learned = prepared.rows[prepared.rows["split"] != "test"]
    assert sorted(predictions["sample_id"]) == sorted(learned["sample_id"])
    assert predictions["model_id"].nunique() == predictions["fold"].nunique() == result.n_folds == 3
    for fold, rows in predictions.groupby("fold"):
        seen = hold_out(prepared, int(fold), config).rows
        groups = set(seen.loc[seen["split"] != "test", "group_id"])
        assert not groups & set(rows["group_id"])


def test_fold_that_is_predicted_chooses_nothing(settings, done):
    """Each fold has a val of its own from the other folds; the run's test is nowhere in it."""
    _, place = done
    config, prepared = read(settings, place)
    test = set(prepared.rows.loc[prepared.rows["split"] == "test", "sample_id"])
    for fold in range(3):
        rows = hold_out(prepared, fold, config).rows
        held = rows["fold"] == fold
        assert set(rows.loc[held, "split"]) == {"test"}
        assert set(rows.loc[~held, "split"]) == {"train", "val"}
        assert not test & set(rows["sample_id"])
        assert rows.groupby("group_id")["split"].nunique().max() == 1


def test_metrics_over_folds(done):
    """Mean and spread are those of the folds' own numbers; the pooled value is computed over all rows."""
    result, _ = done
    predictions = pd.read_parquet(result.folder.predictions)
    rmse = result.metrics.set_index("metric").loc["rmse"]
    own = [
        compute_rmse(rows["target"].to_numpy(), rows["prediction"].to_numpy())
        for _, rows in predictions.groupby("fold")
    ]
    assert rmse["mean"] == pytest.approx(np.mean(own))
    assert rmse["sd"] == pytest.approx(np.std(own, ddof=1))
    pooled = compute_rmse(predictions["target"].to_numpy(), predictions["prediction"].to_numpy())
    assert rmse["pooled"] == pytest.approx(pooled)
    assert rmse["unit"] == "g"


def test_ensemble_is_the_mean_of_its_members(settings, done):
    """The package of all networks answers what their own answers average to, and was evaluated on test."""
    result, place = done
    _, prepared = read(settings, place)
    predictor = load_package(result.folder.ensemble.package)
    assert len(predictor.description.members) == 3
    # New images can be compared with the test images, which no network has seen.
    assert set(read_reference(result.folder.ensemble.package).table["split"]) == {"test"}
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    members = []
    for number in range(3):
        description = dataclasses.replace(
            predictor.description,
            members=[],
            **{**predictor.description.members[number], "task": Task.regression},
        )
        prefix = f"members.{number}."
        state = {
            name.removeprefix(prefix): value
            for name, value in predictor.network.state_dict().items()
            if name.startswith(prefix)
        }
        members.append(type(predictor)(description, state).predict_pixels(pixels))
    np.testing.assert_allclose(predictor.predict_pixels(pixels), np.mean(members, axis=0), rtol=1e-5)
    tested = pd.read_parquet(result.folder.ensemble.predictions)
    test = prepared.rows[prepared.rows["split"] == "test"]
    assert sorted(tested["sample_id"]) == sorted(test["sample_id"])
    assert result.report.splits["test"].n == len(test)


def test_second_call_does_nothing_again(settings, done):
    """Finished folds, the ensemble and its package are reused; a lost fold alone is trained again."""
    _, place = done
    sentences = Sentences()
    work(settings, place, sentences)
    assert not sentences.done()
    shutil.rmtree(place / "folds" / "1")
    sentences = Sentences()
    work(settings, place, sentences)
    assert next(line for line in sentences.said if "train: done" in line).startswith("fold 1: ")
    assert sum("train: done" in line for line in sentences.said) == 1


def test_class_that_stands_in_one_fold_only():
    """Metrics over folds are defined also where a fold has no example of a class."""
    rows = pd.DataFrame(
        {
            "fold": [0, 0, 1, 1],
            "label": ["a", "b", "a", "a"],
            "prediction": ["a", "a", "a", "b"],
            "prob/a": [0.9, 0.6, 0.8, 0.3],
            "prob/b": [0.1, 0.4, 0.2, 0.7],
        }
    )
    table = tabulate_metrics(rows, Task.classification, unit="").set_index("metric")
    assert table.loc["accuracy", ["fold_0", "fold_1", "mean", "pooled"]].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert table.loc["accuracy", "sd"] == 0.0


def test_ensemble_is_calibrated_by_strangers_answers(settings, done):
    """Intervals of the ensemble come from the out-of-fold answers of all its plants, and stand in table and package."""
    result, place = done
    config, _ = read(settings, place)
    apart = pd.read_parquet(result.folder.predictions)
    errors = (apart["target"] - apart["prediction"]).abs().to_numpy()
    quantile, promised = group_quantile(errors, apart["group_id"].to_numpy(dtype=object), config.evaluate.coverage)
    trust = load_package(result.folder.ensemble.package).trust
    assert trust is not None
    rule = trust.intervals[0]
    assert rule is not None
    assert (rule.kind.value, rule.promised) == ("constant", promised)
    assert rule.quantile == pytest.approx(quantile)
    answers = pd.read_parquet(result.folder.ensemble.answers)
    lower, upper = rule.bound(Observed(answers[["prediction"]].to_numpy(copy=True), np.zeros(len(answers))), 0)
    np.testing.assert_allclose(answers[["lower", "upper"]].to_numpy(), np.column_stack([lower, upper]), rtol=1e-6)
    assert set(answers["verdict"]) <= {"accept", "review", "reject"}
    report = result.report.trust
    assert report.intervals[0].promised == promised


def test_ensemble_averages_the_views_that_were_asked_for(settings, done):
    """What is asked of a single network is asked of several."""
    result, place = done
    config, prepared = read([*settings, "evaluate.views=2"], place)
    folds = [result.folder.fold(number) for number in range(result.n_folds)]
    assert build_ensemble(config, folds, prepared).description.views == 2


def test_further_sets_need_the_report_of_the_ensemble(settings, tmp_path):
    """Without a test split there is no report that could hold further sets: that is said before anything is trained."""
    with pytest.raises(ConfigError, match=r"evaluate\.external.*data\.split\.test=0"):
        work([*settings, "data.split.test=0", f"evaluate.external=['field={tmp_path}']"], tmp_path / "run")
