"""Trials as jobs: the study stays here, what is trained elsewhere asks it, and lost trials come back."""

import contextlib

import pytest

from factories.runs import TINY, Sentences, draw_mixed_folder
from phytoscope.cluster.jobs import LocalJobs
from phytoscope.configs import compose_config
from phytoscope.errors import ClusterError, ConfigError
from phytoscope.schema.progress import SilentProgress
from phytoscope.steps import sweep_cluster
from phytoscope.steps.sweep import choose_places, run_sweep
from phytoscope.steps.sweep_plan import SweepFolder, SweepPlan
from phytoscope.steps.sweep_trial import TrialOrder, TrialOutcome
from phytoscope.train.sweep.space import read_space

pytest.importorskip("optuna")


class Cluster(LocalJobs):
    """A cluster that does nothing: jobs are scripted; the first one of all loses its worker."""

    def run(self, work, take, *, answer, at_once=None, on_lost=None):
        """Hands out two trials at once, loses the first of them, and ends the others early or well."""
        at_work = [take(), take()]
        lost = at_work.pop(0)
        assert on_lost(lost) is False
        at_work.append(take())
        assert (at_work[-1].folder, at_work[-1].params) == (lost.folder, lost.params)
        while at_work:
            order = at_work.pop(0)
            answer(order, ("report", 1.0 + order.number, 1))
            is_behind = answer(order, ("prune",))
            answer(order, ("say", f"trial {order.number}: {is_behind}"))
            yield order, TrialOutcome("pruned") if is_behind else TrialOutcome("complete", 1.0 + order.number)
            if (following := take()) is not None:
                at_work.append(following)


@pytest.fixture
def plan(tmp_path):
    """A sweep whose trials need no data."""
    words = ["data=folder", f"data.root={tmp_path}", "name=s", "sweep.n_trials=4", "sweep.pruner=median"]
    config = compose_config([*words, "sweep.startup_trials=1", f"paths.runs_dir={tmp_path}"])
    space = read_space({"trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}})
    return SweepPlan(config, SweepFolder(tmp_path / "s"), tmp_path / "s.db", space, "inputs", 9, 0, "loss", None)


def test_study_is_complete_though_a_worker_is_lost(plan):
    """The lost trial comes back with its values and folder; those that are behind are ended early; none is doubled."""
    said = Sentences()
    sweep_cluster.work_on_cluster(plan, Cluster(), SilentProgress(), said)
    states = [trial.state.name for trial in plan.open_study().trials]
    assert states == ["FAIL", "COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    assert said.said[0] == "trial 0 lost its worker and is taken up again"
    assert "trial 1: loss 2 (best so far: 2)" in said.said


def test_interruption_gives_trials_back(plan):
    """Ctrl-C: what was at work waits to be done again, and its folder is free."""

    class Interrupted(LocalJobs):
        def run(self, work, take, **how):
            take(), take()
            raise KeyboardInterrupt
            yield

    with pytest.raises(KeyboardInterrupt):
        sweep_cluster.work_on_cluster(plan, Interrupted(), SilentProgress(), Sentences())
    assert [trial.state.name for trial in plan.open_study().trials] == ["FAIL", "FAIL", "WAITING", "WAITING"]
    with plan.folder.trial(0).locked(), plan.folder.trial(1).locked():
        pass


def test_machine_that_does_not_see_the_folder_says_so(plan):
    """The sentence names the path and what to do, before anything is written there."""
    with pytest.raises(ClusterError, match=r"does not see '.*prepare.json': keep paths.runs_dir on a file system that"):
        sweep_cluster.do_trial(plan, TrialOrder(0, 0, {}), lambda _: None)
    assert not plan.folder.root.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paths.runs_dir=s3://bucket/runs"], "paths.runs_dir='s3://bucket/runs' is an address"),
        (["engine=ray", "trainer.devices=2"], "sweeps, folds and ensembles"),
    ],
)
def test_what_no_sweep_can_do_is_refused(tmp_path, words, said):
    """Before anything is read."""
    settings = ["data=folder", f"data.root={tmp_path / 'none'}", f"paths.runs_dir={tmp_path}", *words]
    space = "sweep.space={model.dropout: {low: 0.0, high: 0.5}}"
    with pytest.raises(ConfigError, match=said):
        run_sweep(compose_config([*settings, space]), progress=SilentProgress(), say=Sentences())


@pytest.mark.slow
def test_one_at_a_time_draws_what_a_sweep_here_draws(tmp_path, monkeypatch):
    """Trials, values, ends and objectives are the same when the training only asks the study."""
    monkeypatch.setattr("phytoscope.steps.sweep.open_jobs", lambda *_: contextlib.nullcontext(LocalJobs()))
    data = [*draw_mixed_folder(tmp_path / "images", per_class=10), f"paths.cache_dir={tmp_path / 'cache'}", *TINY]
    more = ["trainer.mode=plain", "model.input_size_px=32", "trainer.threads=1", "trainer.max_epochs=4", "name=s"]
    sweep = ["sweep.n_trials=4", "sweep.pruner=median", "sweep.startup_trials=1", "adapt.frozen_epochs=0"]
    space = "sweep.space={adapt.backbone_lr_factor: null, trainer.weight_decay: null}"
    tables = []
    for engine in ("local", "ray"):
        config = compose_config(
            [*data, *more, *sweep, space, f"paths.runs_dir={tmp_path / engine}", f"engine={engine}"]
        )
        if engine == "ray":
            monkeypatch.setattr("phytoscope.steps.sweep.with_engine", contextlib.nullcontext)
        result = run_sweep(config, progress=SilentProgress(), say=Sentences())
        tables.append(result.trials.drop(columns="seconds"))
        assert choose_places(config)[1].is_file()
    assert tables[0].equals(tables[1])
