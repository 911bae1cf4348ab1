"""A sweep from the settings to the best experiment, interrupted and continued."""

import shutil

import pandas as pd
import pytest

from factories.runs import TINY, Sentences, draw_mixed_folder
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError, TrainingError
from phytoscope.schema.progress import SilentProgress
from phytoscope.steps import RunContext, run_all, sweep_trial
from phytoscope.steps.sweep import choose_places, run_sweep

optuna = pytest.importorskip("optuna")
SPACE = "sweep.space={adapt.backbone_lr_factor: null, trainer.weight_decay: null}"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    """Settings of a small data set and of the pixels it leaves behind."""
    root = tmp_path_factory.mktemp("data")
    return [*draw_mixed_folder(root / "images", per_class=10), f"paths.cache_dir={root / 'cache'}"]


def words(data, place, *more: str) -> list[str]:
    """Settings of a tiny sweep; later words win."""
    tiny = [*TINY, "trainer.mode=plain", "model.input_size_px=32", "sweep.pruner=none"]
    return [*data, *tiny, f"paths.runs_dir={place}", "name=s", "sweep.n_trials=2", SPACE, *more]


def sweep(settings):
    """Runs a sweep; gives its result and what it said."""
    sentences = Sentences()
    return run_sweep(compose_config(settings), progress=SilentProgress(), say=sentences), sentences.said


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    """A finished sweep of two trials, with its place."""
    place = tmp_path_factory.mktemp("runs")
    return (*sweep(words(data, place)), place)


def test_what_a_sweep_leaves(swept):
    """Table, figures, settings of the best, and the weights of the best trial only."""
    result, said, place = swept
    assert result.folder.root == place / "sweeps" / "s"
    assert (place / "sweeps" / "s.db").is_file()
    assert list(result.trials["state"]) == ["complete", "complete"]
    assert result.trials["objective"].is_monotonic_increasing
    assert result.keys == ("trainer.learning_rate", "model.dropout")
    assert pd.read_csv(result.folder.table)["trial"].tolist() == result.trials["trial"].tolist()
    assert (result.folder.figures / "sweep_history.png").is_file()
    folders = [result.folder.trial(number) for number in result.trials["trial"]]
    assert [run.weights.is_file() for run in folders] == [True, False]
    assert all(run.history.is_file() and run.log.is_file() for run in folders)
    assert sum("prepare: done" in sentence for sentence in said) == 1
    assert any("test is not looked at" in sentence for sentence in said)


def test_objective_is_the_best_epoch_on_val(swept):
    """What is compared is what chose the epoch."""
    result, _, _ = swept
    for row in result.trials.to_dict("records"):
        history = pd.read_csv(result.folder.trial(row["trial"]).history)
        assert row["objective"] == pytest.approx(history["val/smoothed"].min())


def test_best_trial_goes_on_as_a_run(swept, data, tmp_path):
    """`run` on its folder evaluates and packs its weights without training; the experiment trains the same."""
    result, _, place = swept
    best = result.trials.iloc[0]
    sentences = Sentences()
    tried = [f"trainer.learning_rate={best['trainer.learning_rate']}", f"model.dropout={best['model.dropout']}"]
    config = compose_config(words(data, place, *tried, f"paths.run_dir={result.best_run.root}", "package.onnx=never"))
    run_all(RunContext(config, result.best_run, say=sentences))
    assert sentences.reused() == ["prepare", "train"]
    experiment = compose_config([*data, f"experiment={result.folder.best}"])
    assert (experiment.trainer.learning_rate, experiment.model.dropout) == pytest.approx(
        (best["trainer.learning_rate"], best["model.dropout"])
    )
    assert experiment.model.backbone == "test_efficientnet"


@pytest.mark.slow
def test_more_trials_continue(swept, data, tmp_path):
    """A larger n_trials adds to the trials that are there; the same number does nothing again."""
    result, _, finished = swept
    # In a copy, because the other tests look at the sweep of two trials.
    place = shutil.copytree(finished, tmp_path / "runs")
    again, said = sweep(words(data, place))
    assert not any("train: done" in sentence for sentence in said)
    more, said = sweep(words(data, place, "sweep.n_trials=3"))
    assert sum("train: done" in sentence for sentence in said) == 1
    assert set(result.trials["trial"]) == set(again.trials["trial"]) < set(more.trials["trial"])


def test_interruption_leaves_nothing_half_done(data, tmp_path, monkeypatch):
    """Ctrl-C within a trial: the same command does that trial again with the same values, in the same folder."""
    train, calls = sweep_trial.train_prepared, []

    def interrupted(context, *rest, **more):
        calls.append(context.run.root.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(context, *rest, **more)

    monkeypatch.setattr(sweep_trial, "train_prepared", interrupted)
    settings = words(data, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        sweep(settings)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'sweeps' / 's.db'}")
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "WAITING"]
    result, _ = sweep(settings)
    assert calls == ["0000", "0001", "0001"]
    assert len(result.trials) == 2
    params = study.trials[1].params
    row = result.trials[result.trials["trial"] == 2].iloc[0]
    assert row["trainer.learning_rate"] == params["trainer.learning_rate"]


@pytest.mark.slow
def test_killed_trial_is_taken_up(data, tmp_path):
    """A trial whose process is gone is found by its lock and done again."""
    settings = words(data, tmp_path, "sweep.n_trials=1")
    config = compose_config(settings)
    result, _ = sweep(settings)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{choose_places(config)[1]}")
    study.ask()
    _, said = sweep(words(data, tmp_path, "sweep.n_trials=2"))
    assert "trial 1 was interrupted and is taken up again" in said
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    assert states == ["COMPLETE", "FAIL", "COMPLETE"]
    assert len(result.trials) == 1


@pytest.mark.slow
def test_trial_that_cannot_be_trained_does_not_end_the_sweep(data, tmp_path, monkeypatch):
    """It counts as failed, with its reason; the others go on."""
    train, calls = sweep_trial.train_prepared, []

    def failing(*rest, **more):
        calls.append(1)
        if len(calls) == 1:
            raise TrainingError("the loss became nan")
        return train(*rest, **more)

    monkeypatch.setattr(sweep_trial, "train_prepared", failing)
    result, _ = sweep(words(data, tmp_path))
    assert list(result.trials["state"]) == ["complete", "failed"]
    assert result.trials["reason"].tolist()[1] == "the loss became nan"


def test_sweep_without_a_finished_trial_says_why(data, tmp_path, monkeypatch):
    """The reason of a trial is the reason of the sweep."""

    def failing(*rest, **more):
        raise TrainingError("the loss became nan")

    monkeypatch.setattr(sweep_trial, "train_prepared", failing)
    with pytest.raises(TrainingError, match="no trial of 2 was finished; the first reason: the loss became nan"):
        sweep(words(data, tmp_path))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sweep.space={model.dropout: {low: 0.0, high: 1.0}}", "model.dropout=1.0 must be at least 0 and below 1"),
        ("sweep.space={adapt.kind: {choices: [head, lorra]}}", "did you mean 'lora'"),
        ("sweep.space={model: {choices: [resnet18, resnet17]}}", "there is no preset 'resnet17'"),
        ("sweep.space={data.root: {choices: [a]}}", "must be the same in all trials"),
        ("sweep.storage=trials.txt", "must end in .db"),
        ("paths.run_dir=here", "is not read by a sweep"),
    ],
)
def test_wrong_sweep_is_refused_before_anything_is_read(tmp_path, word, said):
    """Each end of each range must be an allowed setting."""
    settings = ["data=folder", f"data.root={tmp_path / 'none'}", f"paths.runs_dir={tmp_path}", word]
    with pytest.raises(ConfigError) as error:
        sweep(settings)
    assert said in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["a.db", "a.log"])
def test_workers_share_the_storage(data, tmp_path, storage):
    """Two processes do the trials that one would do, each trial once."""
    result, said = sweep(
        words(data, tmp_path, "sweep.n_trials=4", "sweep.n_workers=2", f"sweep.storage={tmp_path / storage}")
    )
    assert sorted(result.trials["trial"]) == [0, 1, 2, 3]
    assert sum("train: done" in sentence for sentence in said) == 4
    assert len(set(result.trials["trainer.learning_rate"])) == 4
