"""The ways of training, and the choice between them, on tiny networks."""

import dataclasses
import json

import pandas as pd
import pytest
import torch

from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AdaptKind, AugmentPreset, Averaging, CompileChoice, TrainMode
from phytoscope.schema.train_config import AdaptConfig, TaskConfig
from phytoscope.train import modes
from phytoscope.train.modes import fit_job, list_plain_only, plan_job
from phytoscope.train.speed.measure import Speeds, measure_speeds
from phytoscope.train.speed.plan import PLAN_NAME, SpeedPlan, read_plan, write_plan
from tests.factories.jobs import TRAINER, make_job, with_trainer

AUTO = dataclasses.replace(TRAINER, mode=TrainMode.auto)
HEAD, FULL = AdaptConfig(kind=AdaptKind.head), AdaptConfig(kind=AdaptKind.full, frozen_epochs=0)
FAST_TAIL = Speeds(0.001, 0.1, 0.02, 0.01, 0.001, 1000, 2, False, 1.0)


def test_measurement_leaves_the_job_as_it_was(tmp_path) -> None:
    """Weights, statistics, modes and random numbers are those from before; all speeds are above 0."""
    job, _ = make_job(tmp_path, dropout=0.5, augment=AugmentPreset.leaf)
    before = {name: value.clone() for name, value in job.network.state_dict().items()}
    frozen = [parameter.requires_grad for parameter in job.network.parameters()]
    training = [module.training for module in job.network.modules()]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    speeds = measure_speeds(job)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in job.network.state_dict().items())
    assert [parameter.requires_grad for parameter in job.network.parameters()] == frozen
    assert [module.training for module in job.network.modules()] == training
    assert min(speeds.prepare_s, speeds.step_s, speeds.look_s, speeds.trunk_s, speeds.tail_step_s) > 0
    assert speeds.trunk_bytes > 0
    assert not speeds.on_gpu


def test_measurement_is_short(tmp_path) -> None:
    """It takes less than five seconds, and for a training of a moment not even one."""
    job, _ = make_job(tmp_path)
    assert measure_speeds(job).measured_s < 5


@pytest.mark.parametrize("adapt", [HEAD, FULL])
def test_no_cut(tmp_path, adapt) -> None:
    """Without a part above the cut there is no tail to measure."""
    job, _ = make_job(tmp_path, adapt=adapt, classes=False)
    speeds = measure_speeds(job)
    assert speeds.trunk_s is None
    assert speeds.tail_step_s is None


@pytest.mark.parametrize(("adapt", "expected"), [(HEAD, TrainMode.features), (FULL, TrainMode.plain)])
def test_auto(tmp_path, adapt, expected) -> None:
    """A head alone goes the features way, a whole network the plain one; why is said and kept."""
    job, said = make_job(tmp_path, adapt=adapt, trainer=AUTO)
    assert fit_job(job) is expected
    assert said[0].startswith(f"trainer.mode={expected.value}: ")
    kept = json.loads((job.folder / PLAN_NAME).read_text())
    assert kept["mode"] == expected.value
    assert kept["reason"] == said[0]
    assert kept["speeds"]["step_s"] > 0
    assert kept["seconds"]["plain"] > 0
    assert len(pd.read_csv(job.history_path)) > 0


def test_auto_takes_the_trunk_where_it_is_faster(tmp_path, monkeypatch) -> None:
    """What was measured decides."""
    monkeypatch.setattr(modes, "measure_speeds", lambda _: FAST_TAIL)
    job, said = make_job(tmp_path, trainer=AUTO)
    assert fit_job(job) is TrainMode.trunk
    assert any("everything up to" in sentence for sentence in said)


def test_resumed_training_keeps_its_way(tmp_path, monkeypatch) -> None:
    """A training that goes on does not measure again, and takes the way it took."""
    job, _ = make_job(tmp_path, trainer=AUTO)
    write_plan(SpeedPlan(TrainMode.trunk, "because", 0), job.folder)
    monkeypatch.setattr(modes, "measure_speeds", lambda _: pytest.fail("measured again"))
    assert fit_job(job) is TrainMode.trunk
    assert fit_job(with_trainer(job, mode=TrainMode.trunk)) is TrainMode.trunk


def test_way_that_was_named_beats_the_kept_one(tmp_path) -> None:
    """Who names another way gets it."""
    job, _ = make_job(tmp_path)
    write_plan(SpeedPlan(TrainMode.trunk, "because", 0), job.folder)
    assert fit_job(job) is TrainMode.plain
    assert read_plan(job.folder).mode is TrainMode.plain


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"limit_batches": 2}, "trainer.limit_batches=2"), ({"profile": True}, "trainer.profile=true")],
)
def test_trying_out_is_plain(tmp_path, changes, named) -> None:
    """Settings that look at single batches keep to the plain way."""
    job, _ = make_job(tmp_path, adapt=HEAD, trainer=AUTO)
    job = with_trainer(job, **changes)
    assert list_plain_only(job) == [named]
    assert plan_job(job).mode is TrainMode.plain


def test_mixing_is_plain(tmp_path) -> None:
    """Images that are mixed anew in every epoch cannot be computed once."""
    job, _ = make_job(tmp_path, adapt=HEAD, trainer=AUTO, task=TaskConfig(mixup=0.2))
    plan = plan_job(job)
    assert plan.mode is TrainMode.plain
    assert "task.mixup=0.2" in plan.reason


def test_features_need_a_backbone_that_stands_still(tmp_path) -> None:
    """The features way with an adapter that trains the backbone is an error that names ways that fit."""
    job, _ = make_job(tmp_path, adapt=FULL)
    with pytest.raises(ConfigError, match=r"adapt=full trains it: use adapt=head, or trainer\.mode=trunk"):
        fit_job(with_trainer(job, mode=TrainMode.features))


def test_averaging_needs_epochs(tmp_path) -> None:
    """A head that is fitted at once has no weights to average: an error where that way is named, else another way."""
    job, _ = make_job(tmp_path, adapt=HEAD)
    job = with_trainer(job, averaging=Averaging.ema)
    with pytest.raises(ConfigError, match=r"without steps; that does not go together with trainer\.averaging=ema"):
        fit_job(with_trainer(job, mode=TrainMode.features))
    assert plan_job(with_trainer(job, mode=TrainMode.auto)).mode is TrainMode.plain
    trunk, _ = make_job(tmp_path / "trunk")
    assert list_plain_only(with_trainer(trunk, averaging=Averaging.ema)) == []


def test_way_that_does_not_fit_is_refused_at_once(tmp_path, monkeypatch) -> None:
    """Nothing is computed for a trunk that is not there."""
    monkeypatch.setattr(modes, "start_head", lambda _: pytest.fail("the head was fitted"))
    job, _ = make_job(tmp_path, adapt=AdaptConfig(kind=AdaptKind.full))
    with pytest.raises(ConfigError, match=r"trainer\.mode=trunk: adapt=full"):
        fit_job(with_trainer(job, mode=TrainMode.trunk))
    assert not job.folder.exists()


def test_number_of_workers_may_change_when_training_goes_on(tmp_path, monkeypatch) -> None:
    """The kept plan does not stand above what is asked for now."""
    plans = []
    monkeypatch.setattr(modes, "fit_plain", lambda _, plan: plans.append(plan))
    job, _ = make_job(tmp_path, adapt=FULL)
    write_plan(SpeedPlan(TrainMode.plain, "", 6), job.folder)
    fit_job(with_trainer(job, num_workers=0))
    fit_job(with_trainer(job, num_workers=None))
    assert [plan.num_workers for plan in plans] == [0, 6]


def test_network_that_cannot_be_compiled(tmp_path, monkeypatch) -> None:
    """Who insists on it is told; left open, the training goes on without."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    job, _ = make_job(tmp_path, adapt=FULL)
    with pytest.raises(ConfigError, match=r"trainer\.compile=always: there is no C\+\+ compiler"):
        plan_job(with_trainer(job, compile=CompileChoice.always))
    assert not plan_job(with_trainer(job, compile=CompileChoice.auto)).compile


def test_features_cannot_be_profiled(tmp_path) -> None:
    """There are no steps to look at."""
    job, _ = make_job(tmp_path, adapt=HEAD)
    with pytest.raises(ConfigError, match=r"trainer\.profile=true"):
        fit_job(with_trainer(job, mode=TrainMode.features, profile=True))


def test_head_start(tmp_path, monkeypatch) -> None:
    """With frozen epochs left open the head is fitted first; not when they are given, and not when training goes on."""
    calls = []
    start = modes.start_head
    monkeypatch.setattr(modes, "start_head", lambda job: calls.append(1) or start(job))
    job, _ = make_job(tmp_path / "open", adapt=AdaptConfig(kind=AdaptKind.last_stages))
    fit_job(job)
    assert calls == [1]
    again, _ = make_job(tmp_path / "open", adapt=AdaptConfig(kind=AdaptKind.last_stages))
    fit_job(with_trainer(again, max_epochs=4))
    given, _ = make_job(tmp_path / "given", adapt=AdaptConfig(kind=AdaptKind.last_stages, frozen_epochs=0))
    fit_job(given)
    brought, _ = make_job(tmp_path / "brought", adapt=AdaptConfig(kind=AdaptKind.last_stages))
    torch.nn.init.normal_(brought.network.head.weight)
    fit_job(brought)
    assert calls == [1]
    # An adapter that answers another question brings no head.
    start_from = AdaptConfig(kind=AdaptKind.last_stages, start_from="adapter.safetensors")
    headless, _ = make_job(tmp_path / "headless", adapt=start_from)
    fit_job(headless)
    assert calls == [1, 1]


def test_growing_images(tmp_path) -> None:
    """A training that begins with smaller images says so and gets through; its network answers at full size."""
    job, said = make_job(tmp_path, adapt=FULL, side=128, n=18)
    fit_job(with_trainer(job, smallest_size=0.5))
    assert said == ["trainer.smallest_size=0.5: training images grow from 64 to 128 px, which leaves 60 % of the work."]
    assert torch.isfinite(job.network.eval()(torch.from_numpy(job.val.pixels[:2]).permute(0, 3, 1, 2))).all()
