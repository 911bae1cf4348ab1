"""Workers and threads, growing images, compiling, and the plan that is kept."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AugmentPreset, CompileChoice, TrainMode
from phytoscope.schema.train_config import TrainerConfig
from phytoscope.train.speed import threads as threads_module
from phytoscope.train.speed.compile import compiled, plan_compile
from phytoscope.train.speed.device import choose_device
from phytoscope.train.speed.plan import PLAN_NAME, SpeedPlan, read_plan, write_plan
from phytoscope.train.speed.progressive import GrowingAugmentation, SizeSchedule, plan_sizes
from phytoscope.train.speed.threads import choose_num_workers, use_threads
from tests.factories.jobs import make_job, with_trainer


class TestWorkers:
    """Processes that prepare batches."""

    @pytest.mark.parametrize("given", [0, 3])
    def test_given(self, given) -> None:
        """What the settings say, 0 included."""
        assert choose_num_workers(TrainerConfig(num_workers=given), 100) == given

    def test_few_batches(self) -> None:
        """None for a handful of batches."""
        assert choose_num_workers(TrainerConfig(), 4, prepare_s=1.0, step_s=0.1) == 0

    @pytest.mark.parametrize(
        ("cores", "prepare_s", "expected"), [(2, 0.001, 1), (8, 0.001, 1), (8, 0.05, 7), (8, 0.03, 4), (64, 1.0, 8)]
    )
    def test_as_many_as_keep_the_network_busy(self, monkeypatch, cores, prepare_s, expected) -> None:
        """With a quarter to spare, but no more than the spare cores."""
        monkeypatch.setattr(threads_module, "count_cores", lambda: cores)
        assert choose_num_workers(TrainerConfig(), 100, prepare_s=prepare_s, step_s=0.01) == expected

    @pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 3), (64, 4)])
    def test_unmeasured(self, monkeypatch, cores, expected) -> None:
        """One for each spare core, at most four."""
        monkeypatch.setattr(threads_module, "count_cores", lambda: cores)
        assert choose_num_workers(TrainerConfig(), 100) == expected


def test_threads_are_put_back() -> None:
    """The number holds inside the block only; None leaves it alone."""
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with use_threads(None):
            assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


class TestSizes:
    """Training images that grow."""

    def test_grows_to_the_network_s_side(self) -> None:
        """From the smallest side in steps of 32 pixels; full size from two thirds on."""
        schedule = SizeSchedule(224, 0.6, 12)
        sides = [schedule.side(epoch) for epoch in range(12)]
        assert sides[0] == 128
        assert sides == sorted(sides)
        assert all(side % 32 == 0 for side in sides)
        assert sides[8:] == [224] * 4
        assert schedule.mean_cost() == pytest.approx(np.mean(np.square(sides)) / 224**2)

    @pytest.mark.parametrize("epochs", [1, 2, 3])
    def test_short_training_ends_at_full_size(self, epochs) -> None:
        """The last epoch sees what answers are given for, also when it is the only one."""
        assert SizeSchedule(224, 0.5, epochs).side(epochs - 1) == 224

    def test_odd_side(self) -> None:
        """A side that is no multiple of 32 is kept as it is in the end, and never exceeded."""
        schedule = SizeSchedule(100, 0.9, 6)
        assert schedule.side(5) == 100
        assert max(schedule.side(epoch) for epoch in range(6)) == 100
        assert SizeSchedule(48, 1.0, 3).side(0) == 48

    def test_augmentation_gives_the_side_of_the_epoch(self) -> None:
        """What comes out is the image of the inner augmentation, made smaller."""
        seen = []

        def inner(pixels, *, index, epoch):
            seen.append((index, epoch))
            return pixels

        schedule = SizeSchedule(128, 0.5, 6)
        growing = GrowingAugmentation(inner, schedule)
        image = np.full((128, 128, 3), 77, dtype=np.uint8)
        first, last = growing(image, index=3, epoch=0), growing(image, index=4, epoch=5)
        assert first.shape == (64, 64, 3)
        assert (first == 77).all()
        assert first.dtype == np.uint8
        assert last is image
        assert seen == [(3, 0), (4, 5)]

    @pytest.mark.parametrize(
        ("classes", "augment", "side", "expected"),
        [
            (True, AugmentPreset.leaf, 224, 0.6),
            (True, AugmentPreset.top_view, 224, 1.0),
            (True, AugmentPreset.none, 224, 1.0),
            (False, AugmentPreset.leaf, 224, 1.0),
            (True, AugmentPreset.leaf, 96, 1.0),
        ],
    )
    def test_default(self, tmp_path, classes, augment, side, expected) -> None:
        """Only classes of leaves start smaller: elsewhere the scale may be the answer, or the image is small."""
        job, _ = make_job(tmp_path, classes=classes, augment=augment, n=2)
        config = with_trainer(job, smallest_size=None).config
        assert plan_sizes(config, side).smallest == expected

    def test_asked_for(self, tmp_path) -> None:
        """What the user asks for is done also where the scale may be the answer."""
        job, _ = make_job(tmp_path, classes=False, augment=AugmentPreset.top_view, n=2)
        assert plan_sizes(with_trainer(job, smallest_size=0.5).config, 64).smallest == 0.5

    def test_backbone_of_one_size(self, tmp_path) -> None:
        """A transformer built for one size cannot see smaller images: refused when asked for, left out when not."""
        job, _ = make_job(tmp_path, n=2, augment=AugmentPreset.leaf)
        config = dataclasses.replace(
            job.config, model=dataclasses.replace(job.config.model, backbone="vit_tiny_patch16_224")
        )
        trainer = dataclasses.replace(config.trainer, smallest_size=None)
        assert plan_sizes(dataclasses.replace(config, trainer=trainer), 224).smallest == 1.0
        trainer = dataclasses.replace(config.trainer, smallest_size=0.5)
        with pytest.raises(ConfigError, match=r"smallest_size=0\.5: vit_tiny_patch16_224 takes images of one size"):
            plan_sizes(dataclasses.replace(config, trainer=trainer), 224)


class TestCompile:
    """Whether compiling pays, and what happens when it fails."""

    def test_never(self) -> None:
        """What the user says counts."""
        assert not plan_compile(CompileChoice.never, on_gpu=False, step_seconds=1e9, sizes=1).wanted

    def test_without_a_compiler(self, monkeypatch) -> None:
        """Nothing is tried that cannot work, even when it was asked for, and the reason says so."""
        monkeypatch.setattr(shutil, "which", lambda _: None)
        plan = plan_compile(CompileChoice.always, on_gpu=False, step_seconds=1e9, sizes=1)
        assert not plan.wanted
        assert plan.reason == "there is no C++ compiler (g++, clang++, cl)"

    @pytest.mark.parametrize(
        ("step_seconds", "sizes", "wanted"), [(None, 1, False), (100, 1, False), (7200, 1, True), (1200, 4, False)]
    )
    def test_auto_asks_whether_it_pays(self, monkeypatch, step_seconds, sizes, wanted) -> None:
        """Long trainings are compiled, short ones and those of many sizes are not."""
        monkeypatch.setattr(shutil, "which", lambda name: name)
        assert plan_compile(CompileChoice.auto, on_gpu=False, step_seconds=step_seconds, sizes=sizes).wanted is wanted

    def test_gpu_needs_triton(self, monkeypatch) -> None:
        """On a GPU it is triton that must be there."""
        monkeypatch.setattr("torch.utils._triton.has_triton", lambda: False)
        assert not plan_compile(CompileChoice.always, on_gpu=True, step_seconds=1e9, sizes=1).wanted
        monkeypatch.setattr("torch.utils._triton.has_triton", lambda: True)
        assert plan_compile(CompileChoice.auto, on_gpu=True, step_seconds=1000, sizes=1).wanted

    def test_failure_falls_back(self, tmp_path, monkeypatch) -> None:
        """A compiler that fails leaves the network as it was: it answers, and has its old names afterwards."""
        job, _ = make_job(tmp_path, n=4)
        images = torch.from_numpy(job.train.pixels[:2]).permute(0, 3, 1, 2)
        network = job.network.eval()
        names, expected = list(network.state_dict()), network(images)

        def fail(*args, **kwargs):
            message = "no compiler today"
            raise RuntimeError(message)

        monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", fail)
        with compiled(network, wanted=True):
            assert list(network.state_dict()) == names
            torch.testing.assert_close(network(images), expected)
        assert network._compiled_call_impl is None

    def test_not_wanted(self, tmp_path) -> None:
        """Nothing happens."""
        job, _ = make_job(tmp_path, n=4)
        with compiled(job.network, wanted=False):
            assert job.network._compiled_call_impl is None


class TestPlan:
    """What was chosen is kept."""

    def test_round_trip(self, tmp_path) -> None:
        """What was written is read."""
        plan = SpeedPlan(TrainMode.trunk, "why", 2, True, "pays", {"plain": 3.5}, 0.2, {"step_s": 0.1})
        write_plan(plan, tmp_path)
        assert read_plan(tmp_path) == plan

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", '{"mode": "warp", "reason": "", "num_workers": 0}', '{"mode": "plain"}']
    )
    def test_damaged(self, tmp_path, content) -> None:
        """A plan that cannot be read is made anew."""
        (tmp_path / PLAN_NAME).write_text(content)
        assert read_plan(tmp_path) is None

    def test_none(self, tmp_path) -> None:
        """There is none at first."""
        assert read_plan(tmp_path) is None


def test_device(monkeypatch) -> None:
    """A GPU where there is one and the settings allow it."""
    assert choose_device(TrainerConfig(accelerator="cpu")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert choose_device(TrainerConfig(accelerator="auto")).type == "cuda"
    assert choose_device(TrainerConfig(accelerator="cpu")).type == "cpu"
