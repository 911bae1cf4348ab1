"""What is fitted before a training, and that only training rows are looked at for it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from factories.runs import TINY, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.data.synthetic import draw_rosette_dataset
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.models.meaning import Meaning
from phytoscope.predict.package import load_package
from phytoscope.schema.artifact import hash_file, read_json
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import META_PREFIX, PATH, PROB_PREFIX, SAMPLE_ID, SPLIT
from phytoscope.steps.context import RunContext
from phytoscope.steps.ranks import check_divided, follow
from phytoscope.steps.training_job import bound_targets, build_samples, fit_meaning, read_targets

TABLE = ["data=table", "data.table=t.csv", "data.images=.", *TINY]


@pytest.fixture
def rows() -> pd.DataFrame:
    """Rows of a manifest with the user's own columns."""
    rng = np.random.default_rng(0)
    target = rng.uniform(1, 5, 30)
    return pd.DataFrame(
        {
            "target": target,
            "label": ["rust", "scab"] * 15,
            "meta/leaf area (cm2)": np.where(np.arange(30) % 3 == 0, np.nan, 4 * target),
            "meta/growth rate": rng.normal(0, 1, 30),
            "meta/age": rng.uniform(5, 20, 30),
            "meta/state": ["wet", "dry", None] * 10,
        }
    )


def fit(rows: pd.DataFrame, *words: str):
    """The meaning of a training of a weight."""
    return fit_meaning(compose_config([*TABLE, "data.target=weight", *words]), rows, "g")


def test_targets_stand_in_their_order(rows) -> None:
    """The main target first, each with its unit and a scale fitted on the rows that have it."""
    words = ["data.more_targets=['leaf area','growth rate']", "task.target_transform=none"]
    meaning = fit(rows, *words)
    assert [(target.name, target.unit) for target in meaning.targets] == [
        ("weight", "g"),
        ("leaf area (cm2)", "cm2"),
        ("growth rate", ""),
    ]
    values = read_targets(rows, meaning)
    assert values.shape == (30, 3)
    for place, target in enumerate(meaning.targets):
        scaled = target.scale.forward(values[:, place])
        assert np.nanmean(scaled) == pytest.approx(0, abs=1e-9)
        assert np.nanstd(scaled) == pytest.approx(1)
        np.testing.assert_array_equal(np.isnan(scaled), np.isnan(values[:, place]))


def test_bounds_belong_to_their_target(rows) -> None:
    """What is declared possible is about the main target; of others only amounts have a bound."""
    config = compose_config(
        [
            *TABLE,
            "data.target=weight",
            "data.target_min=-1",
            "data.target_max=9",
            "data.more_targets=['leaf area','growth rate']",
        ]
    )
    assert bound_targets(config, rows, fit_meaning(config, rows, "g")) == [(-1, 9), (0.0, None), (None, None)]


def test_further_target_that_cannot_be_learned(rows) -> None:
    """The error names which of the targets it is about."""
    with pytest.raises(DataValidationError, match=r"growth rate: the target is 3 in every training row"):
        fit(rows.assign(**{"meta/growth rate": 3.0}), "data.more_targets=['growth rate']")


def test_constant_covariate_is_refused(rows) -> None:
    """A column that says nothing about the training rows has no place in a model."""
    with pytest.raises(ConfigError, match="'age' is 3 in every training row"):
        fit(rows.assign(**{"meta/age": 3.0}), "data.covariates=[age,state]")


def test_classes_may_have_covariates(rows) -> None:
    """Beside the image a network of classes sees columns too."""
    config = compose_config([*TABLE, "data.label=disease", "data.covariates=[AGE,state]"])
    meaning = fit_meaning(config, rows, "")
    assert meaning.class_names == ("rust", "scab")
    assert meaning.covariates.names == ("age", "state")
    assert read_targets(rows, meaning).shape == (30, 0)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Drawn rosettes with their table."""
    root = tmp_path_factory.mktemp("rosettes")
    draw_rosette_dataset(root, plants=24, photos_per_plant=1, size_px=48, seed=1)
    return root


def train(root: Path, table: Path, place: Path, *more: str, steps=("prepare", "train")) -> tuple[RunFolder, list[str]]:
    """Trains on drawn rosettes for one epoch."""
    settings = [f"data.table={table}", f"data.images={root / 'images_med_res'}", "trainer.max_epochs=1"]
    words = ["data=farmbot_biomass", *settings, "trainer.mode=plain", "package.onnx=never", *more]
    said = []
    for step in steps:
        run, sentences = run_tiny(run_words(words, place), step)
        said += sentences.said
    return run, said


def read_table(root: Path) -> pd.DataFrame:
    """The drawn table with plain numbers."""
    return pd.read_csv(root / "digital_biomass_labels.csv", decimal=",")


def change_rows(table: pd.DataFrame, run: RunFolder, splits: list[str]) -> pd.DataFrame:
    """The table with other covariates and further targets in the rows of some splits."""
    split = pd.read_parquet(run.split)
    chosen = table["filename"].isin(split.loc[split[SPLIT].isin(splits), SAMPLE_ID])
    changed = table.copy()
    changed.loc[chosen, "age_days"] = 99.0
    changed.loc[chosen, "condition"] = "salinity"
    changed.loc[chosen, "temperature"] += 7
    changed.loc[chosen, "total_leaves"] = 55.0
    return changed


LEAKY = ["data.covariates=[age_days,condition,temperature]", "data.more_targets=[total_leaves]", "data.rules=[]"]


@pytest.mark.slow
def test_no_covariate_leaks_across_the_split(drawn, tmp_path) -> None:
    """Other values in the rows of calibration and test change no weight; in those of val they change no encoder."""
    table = read_table(drawn)
    table.to_csv(tmp_path / "0.csv", index=False)
    first, _ = train(drawn, tmp_path / "0.csv", tmp_path / "first", *LEAKY)
    change_rows(table, first, ["test", "calibration"]).to_csv(tmp_path / "1.csv", index=False)
    second, _ = train(drawn, tmp_path / "1.csv", tmp_path / "second", *LEAKY)
    assert hash_file(second.weights) == hash_file(first.weights)
    assert read_json(second.model)["meaning"] == read_json(first.model)["meaning"]
    change_rows(table, first, ["val"]).to_csv(tmp_path / "2.csv", index=False)
    third, _ = train(drawn, tmp_path / "2.csv", tmp_path / "third", *LEAKY)
    assert read_json(third.model)["meaning"]["covariates"] == read_json(first.model)["meaning"]["covariates"]
    change_rows(table, first, ["train"]).to_csv(tmp_path / "3.csv", index=False)
    with pytest.raises(ConfigError, match=r"'age_days' is 99 in every training row"):
        train(drawn, tmp_path / "3.csv", tmp_path / "fourth", *LEAKY)


@pytest.mark.slow
def test_way_that_does_not_fit_leaves_an_older_training_alone(drawn, tmp_path) -> None:
    """Settings that contradict each other are told before anything is removed."""
    run, _ = train(drawn, drawn / "digital_biomass_labels.csv", tmp_path / "run")
    before = hash_file(run.weights)
    for way in ("features", "trunk"):
        with pytest.raises(ConfigError, match=rf"trainer\.mode={way}.*adapt=full trains"):
            train(drawn, drawn / "digital_biomass_labels.csv", tmp_path / "run", f"trainer.mode={way}")
    assert hash_file(run.weights) == before


def test_class_without_a_training_image() -> None:
    """A class that only validation shows is named, instead of becoming a number that stands for nothing."""
    rows = pd.DataFrame({"label": ["rust", "scab"], "sha256": ["a", "b"], "group_id": ["1", "2"]})
    cache = SimpleNamespace(pixels=None, rows=lambda names: np.arange(len(names)))
    with pytest.raises(DataValidationError, match="no training image shows 'scab', but a validation image does"):
        build_samples(rows, cache, Meaning(class_names=("mould", "rust")))


def test_two_trainings_in_processes_started_by_others(monkeypatch) -> None:
    """Pseudo-labels are refused in each process of torchrun, and not where the devices are started by us."""
    config = compose_config(["data=folder", "data.root=.", *TINY, "trainer.devices=2", "task.pseudo_labels=true"])
    check_divided(config)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"task\.pseudo_labels=true trains two networks"):
        check_divided(config)
    with pytest.raises(ConfigError, match=r"task\.pseudo_labels=true"):
        follow(RunContext(config, RunFolder(Path("nowhere"))))


def test_profile_of_processes_started_by_others(monkeypatch) -> None:
    """The others would wait in a folder that nobody prepared."""
    config = compose_config(["data=folder", "data.root=.", *TINY, "trainer.devices=2", "debug=profile"])
    check_divided(config)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"trainer\.profile=true looks at one process"):
        check_divided(config)


def test_target_nobody_measured_in_val_and_a_near_copy(drawn, tmp_path) -> None:
    """A further target without a row in val and test goes the whole way, and a copy of the target is named."""
    table = read_table(drawn)
    table["weight_again"] = 1000 * table["fresh_weight_total"]
    table.to_csv(tmp_path / "0.csv", index=False)
    first, _ = train(drawn, tmp_path / "0.csv", tmp_path / "first", steps=["prepare"])
    split = pd.read_parquet(first.split)
    outside = table["filename"].isin(split.loc[split[SPLIT] != "train", SAMPLE_ID])
    table.loc[outside, "total_leaves"] = np.nan
    table.to_csv(tmp_path / "1.csv", index=False)
    more = ["data.covariates=[weight_again]", "data.more_targets=[total_leaves]"]
    run, said = train(drawn, tmp_path / "1.csv", tmp_path / "second", *more, steps=["prepare", "train", "evaluate"])
    assert any("'weight_again' is nearly a copy of the target 'fresh_weight_total'" in line for line in said)
    predictions = pd.read_parquet(run.predictions)
    assert np.isfinite(predictions["prediction/total_leaves"]).all()
    report = read_json(run.report)
    assert [part["more_targets"][0]["n"] for part in report["splits"].values()] == [0] * len(report["splits"])


@pytest.mark.slow
def test_classes_with_covariates_go_the_whole_way(drawn, tmp_path) -> None:
    """Classification sees the columns too: the package gives for each image what `evaluate` wrote."""
    table = read_table(drawn)
    table["size"] = np.where(table["total_leaves"] > table["total_leaves"].median(), "large", "small")
    table.to_csv(tmp_path / "0.csv", index=False)
    settings = [f"data.table={tmp_path / '0.csv'}", f"data.images={drawn / 'images_med_res'}", "data.label=size"]
    group = ["data.group_by=[experiment_id,farmbot_name,plant_number]", "data.covariates=[age_days,condition]"]
    learn = ["trainer.mode=plain", "trainer.learning_rate=0.02", "package.onnx=never"]
    run, _ = run_tiny(run_words(["data=table", *settings, *group, *learn], tmp_path / "run"))
    predictions = pd.read_parquet(run.predictions)
    manifest = pd.read_parquet(run.manifest).set_index(SAMPLE_ID).loc[predictions[SAMPLE_ID]]
    predictor = load_package(run.package)
    found = [
        predictor.predict(
            Path(path),
            covariates={
                name: None if pd.isna(value) else value
                for name in ("age_days", "condition")
                for value in [manifest[META_PREFIX + name].iloc[place]]
            },
        ).probabilities
        for place, path in enumerate(predictions[PATH])
    ]
    expected = predictions[[PROB_PREFIX + name for name in ("large", "small")]].to_numpy()
    np.testing.assert_allclose([[row["large"], row["small"]] for row in found], expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3
