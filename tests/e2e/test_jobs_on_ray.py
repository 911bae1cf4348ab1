"""Trials and folds are trained by a cluster of several nodes, one of which is switched off in the middle."""

import threading
import time

import optuna
import pandas as pd
import pytest

from factories.ray_clusters import ray_cluster
from factories.runs import TINY, Sentences, draw_mixed_folder
from phytoscope.configs import compose_config
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps import RunContext
from phytoscope.steps.cross_validate import FoldsFolder, cross_validate
from phytoscope.steps.sweep import choose_places, run_sweep

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
EPOCHS, TRIALS = 8, 4


@pytest.fixture(scope="module")
def cluster():
    """A head that works on nothing, and two machines with a core each."""
    with ray_cluster(nodes=3, cpus=1, head_cpus=0) as started:
        yield started


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    tiny = [*TINY, "trainer.mode=plain", "trainer.threads=1", "model.input_size_px=32", "package.onnx=never"]
    return [*draw_mixed_folder(root / "images", per_class=10), *tiny, f"paths.cache_dir={root / 'cache'}"]


def on(cluster):
    return ["engine=ray", f"engine.address={cluster.address}"]


def kill_when(is_due, cluster, number):
    """Switches a machine off when something is due."""

    def watch():
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not is_due():
            time.sleep(0.02)
        cluster.kill_node(number)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_sweep_loses_a_machine(data, cluster, tmp_path):
    """The trial that was trained there is taken up by another machine in its own folder, and none is finished twice."""
    settings = [
        *(*data, *on(cluster), "name=s", f"paths.runs_dir={tmp_path}", f"sweep.n_trials={TRIALS}"),
        *(f"trainer.max_epochs={EPOCHS}", f"trainer.patience={EPOCHS}", "trainer.checkpoint_minutes=1e-6"),
        *("sweep.pruner=median", "sweep.startup_trials=1"),
        "sweep.space={adapt.backbone_lr_factor: null, trainer.weight_decay: null}",
    ]
    config, sentences = compose_config(settings), Sentences()
    histories = [tmp_path / "sweeps" / "s" / "trials" / f"{number:04d}" / "history.csv" for number in (0, 1)]
    killer = kill_when(lambda: all(path.exists() for path in histories), cluster, 2)
    result = run_sweep(config, progress=SilentProgress(), say=sentences)
    killer.join()
    lost = [text for text in sentences.said if text.endswith("lost its worker and is taken up again")]
    assert len(lost) == 1, sentences.said
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{choose_places(config)[1]}")
    states = [trial.state.name for trial in study.trials]
    assert set(states) <= {"COMPLETE", "PRUNED", "FAIL"}
    assert (states.count("FAIL"), len(states)) == (1, TRIALS + 1)
    assert len(result.trials) == len(set(result.trials["trainer.learning_rate"])) == TRIALS
    again = next(trial for trial in study.trials if "folder" in trial.user_attrs)
    assert lost == [f"trial {again.user_attrs['folder']} lost its worker and is taken up again"]
    for trial in study.trials:
        if trial.state.name == "COMPLETE":
            folder = result.folder.trial(trial.user_attrs.get("folder", trial.number))
            history = pd.read_csv(folder.history)
            assert history["epoch"].tolist() == list(range(EPOCHS))
            assert trial.value == pytest.approx(history["val/smoothed"].min())
        elif trial.state.name == "PRUNED":
            assert len(trial.intermediate_values) < EPOCHS
    assert result.best_run.weights.is_file()


def test_folds_are_those_of_one_computer(data, cluster, tmp_path):
    """Predictions and metrics are the same to the last bit, also of the fold whose machine is switched off."""
    number = cluster.add_node()
    more = ["data.split.folds=2", "trainer.max_epochs=6", "trainer.patience=6", "trainer.checkpoint_minutes=1e-6"]
    found, sentences = [], Sentences()
    for place, words in (("here", []), ("there", on(cluster))):
        config = compose_config([*data, *more, *words, f"paths.run_dir={tmp_path / place}"])
        folder = FoldsFolder(tmp_path / place / "folds")
        if words:
            kill_when(lambda: all(folder.fold(fold).history.exists() for fold in (0, 1)), cluster, number)  # noqa: B023
        found.append(cross_validate(RunContext(config, RunFolder(tmp_path / place), say=sentences)))
    assert "a worker of the cluster was lost; its work is done again" in sentences.said
    pd.testing.assert_frame_equal(found[0].metrics, found[1].metrics, check_exact=True)
    tables = [pd.read_parquet(one.folder.predictions) for one in found]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
