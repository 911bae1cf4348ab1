"""Training above a cut, on activations that are computed once."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.schema.choices import AdaptKind, AugmentPreset, TrainMode
from phytoscope.schema.train_config import AdaptConfig, TaskConfig
from phytoscope.train.modes import fit_job
from phytoscope.train.plain import fit_plain
from phytoscope.train.speed.plan import SpeedPlan
from phytoscope.train.trunk import activations as activations_module
from phytoscope.train.trunk.activations import RowNumbers, TrunkRunner, ViewReader
from phytoscope.train.trunk.cut import TrunkNetwork, find_cut
from phytoscope.train.trunk.fit import choose_views, fit_trunk
from phytoscope.train.trunk.tail import TailNetwork, to_squares
from tests.factories.jobs import TRAINER, make_job, with_trainer

PLAIN, TRUNK = SpeedPlan(TrainMode.plain, "", 0), SpeedPlan(TrainMode.trunk, "", 0)
LAST = AdaptConfig(kind=AdaptKind.last_stages, frozen_epochs=0)
BACKBONES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"]


def images_of(job, n=5):
    """Some images of a job as a network takes them."""
    return torch.from_numpy(job.train.pixels[:n]).permute(0, 3, 1, 2)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_tail_answers_as_the_network(tmp_path, backbone) -> None:
    """Trunk and tail one after the other give what the whole network gives, up to half precision."""
    side = 160 if backbone == "test_vit" else 64
    job, _ = make_job(tmp_path, backbone=backbone, adapt=LAST, side=side, n=6)
    torch.nn.init.normal_(job.network.head.weight)
    job.network.eval()
    cut = find_cut(job.network, job.adaptation)
    with torch.no_grad():
        expected = job.network(images_of(job))
        activations = TrunkNetwork(job.network, cut).eval()(images_of(job))
        kept = torch.from_numpy(to_squares(activations).astype(np.float16)).permute(0, 3, 1, 2)
        tail = TailNetwork(job.network, cut, activations.ndim)
        torch.testing.assert_close(tail(kept), expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max()))


def test_tail_shares_everything(tmp_path) -> None:
    """The tail's parameters are the network's, under the same names."""
    job, _ = make_job(tmp_path)
    tail = TailNetwork(job.network, find_cut(job.network, job.adaptation), 4)
    ours, theirs = tail.state_dict(), job.network.state_dict()
    assert list(ours) == list(theirs)
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in ours)


def train_both_ways(place, *, classes):
    """Change of every tensor, and the history, of the plain way and of the trunk way."""
    found = []
    for name, fit, plan in (("plain", fit_plain, PLAIN), ("trunk", fit_trunk, TRUNK)):
        job, _ = make_job(place / name, classes=classes, adapt=LAST)
        before = {key: value.clone() for key, value in job.network.state_dict().items()}
        fit(job, plan)
        moved = {key: (value - before[key]).float() for key, value in job.network.state_dict().items()}
        found.append((moved, pd.read_csv(job.history_path)))
    return found


@pytest.mark.parametrize("classes", [True, False])
def test_same_result_as_the_plain_way(tmp_path, classes) -> None:
    """Without augmentation both ways train the same weights, but for what half precision leaves out."""
    (plain, plain_history), (trunk, trunk_history) = train_both_ways(tmp_path, classes=classes)
    trained = [name for name, change in plain.items() if change.abs().max() > 0]
    assert "head.weight" in trained
    assert any(name.startswith("backbone.") for name in trained)
    for name, change in plain.items():
        if name in trained:
            likeness = torch.cosine_similarity(change.flatten(), trunk[name].flatten(), dim=0)
            assert likeness > 0.95, name
        else:
            assert trunk[name].abs().max() == 0, name
    np.testing.assert_allclose(trunk_history["val/loss"], plain_history["val/loss"], rtol=0.05, atol=0.02)


def test_half_precision_is_the_only_difference(tmp_path, monkeypatch) -> None:
    """With activations kept in full precision the weights are those of the plain way."""
    monkeypatch.setattr(activations_module, "HALF", "<f4")
    (plain, _), (trunk, _) = train_both_ways(tmp_path, classes=True)
    for name, change in plain.items():
        torch.testing.assert_close(trunk[name], change, rtol=1e-2, atol=1e-4)


def test_trunk_stands_still(tmp_path) -> None:
    """What is below the cut has the weights and statistics that it had before."""
    job, _ = make_job(tmp_path)
    before = {key: value.clone() for key, value in job.network.backbone.state_dict().items()}
    cut = find_cut(job.network, job.adaptation)
    fit_trunk(job, TRUNK)
    for name, value in job.network.backbone.state_dict().items():
        if any(element.holds(name) for element in cut.trunk):
            assert torch.equal(value, before[name]), name


def test_second_training_computes_nothing_again(tmp_path, monkeypatch) -> None:
    """Another learning rate finds the activations in the cache."""
    job, _ = make_job(tmp_path, augment=AugmentPreset.top_view)
    fit_trunk(job, TRUNK)
    calls = []
    compute = TrunkRunner._compute
    monkeypatch.setattr(TrunkRunner, "_compute", lambda *args: calls.append(1) or compute(*args))
    again, _ = make_job(tmp_path, augment=AugmentPreset.top_view)
    again = dataclasses.replace(again, folder=tmp_path / "other", history_path=tmp_path / "other.csv")
    fit_trunk(with_trainer(again, learning_rate=0.02), TRUNK)
    assert calls == []
    other, _ = make_job(tmp_path, augment=AugmentPreset.top_view, seed=1)
    fit_trunk(dataclasses.replace(other, folder=tmp_path / "third", history_path=tmp_path / "third.csv"), TRUNK)
    assert len(calls) > 0


def test_trunk_runs_with_the_threads_that_were_asked_for(tmp_path, monkeypatch) -> None:
    """Whatever computes is told how many."""
    told = []
    build = activations_module.build_extractor

    def watched(*args, **options):
        told.append((options["threads"], torch.get_num_threads()))
        return build(*args, **options)

    monkeypatch.setattr(activations_module, "build_extractor", watched)
    before = torch.get_num_threads()
    job, _ = make_job(tmp_path)
    fit_trunk(with_trainer(job, threads=1), TRUNK)
    assert told == [(1, 1)]
    assert torch.get_num_threads() == before


def test_views_differ_and_belong_to_the_image(tmp_path) -> None:
    """Each view is changed in its own way, known by the image's content and not by its place."""
    job, _ = make_job(tmp_path, augment=AugmentPreset.leaf, n=6)
    runner = TrunkRunner(job, find_cut(job.network, job.adaptation))
    first, second, plain = (runner.complete(job.train, view)[np.arange(6)] for view in (1, 2, 0))
    assert first.dtype == np.float16
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, plain)
    turned = dataclasses.replace(job.train, rows=job.train.rows[::-1].copy(), sha256=job.train.sha256[::-1])
    elsewhere = dataclasses.replace(job, cache_dir=tmp_path / "other", train=turned)
    other = TrunkRunner(elsewhere, find_cut(job.network, job.adaptation))
    np.testing.assert_allclose(other.complete(turned, 1)[np.arange(6)][::-1], first, rtol=2e-2, atol=2e-3)


def test_reader_goes_through_the_views() -> None:
    """Every epoch mixes the views, every image sees each of them, and one that is drawn twice shows another."""
    views = tuple(np.full((4, 1, 1, 1), view, dtype=np.float16) for view in range(3))
    read = ViewReader(views)
    seen = np.array([[read(None, index=index, epoch=epoch).item() for index in range(4)] for epoch in range(3)])
    assert all(sorted(column) == [0, 1, 2] for column in seen.T)
    assert len(set(seen[0])) == 3
    assert read(None, index=5, epoch=0) != read(None, index=1, epoch=0)
    assert RowNumbers()[np.arange(3)].shape[0] == 3


def test_frozen_epochs(tmp_path) -> None:
    """The tail stands still as long as only the head is to be trained."""
    adapt = AdaptConfig(kind=AdaptKind.last_stages, frozen_epochs=3)
    job, _ = make_job(tmp_path, adapt=adapt)
    before = {key: value.clone() for key, value in job.network.backbone.state_dict().items()}
    fit_trunk(job, TRUNK)
    assert all(torch.equal(value, before[name]) for name, value in job.network.backbone.state_dict().items())


def test_resumes(tmp_path) -> None:
    """A training that was stopped after two epochs ends with the weights of one that was not."""
    whole, _ = make_job(tmp_path / "whole", augment=AugmentPreset.top_view)
    fit_trunk(whole, TRUNK)
    stopped, _ = make_job(tmp_path / "parts", augment=AugmentPreset.top_view, trainer=TRAINER)

    class StopError(Exception):
        """Ends the training from outside."""

    class Killer:
        """A progress that ends the training in the last epoch."""

        done = 0

        def start(self, description, total):
            """Nothing."""

        def advance(self, units=1, note=""):
            """Counts batches of the training."""
            if note.startswith("epoch 3"):
                raise StopError

        def finish(self):
            """Nothing."""

    with pytest.raises(StopError):
        fit_trunk(dataclasses.replace(stopped, progress=Killer()), TRUNK)
    again, _ = make_job(tmp_path / "parts", augment=AugmentPreset.top_view)
    fit_trunk(again, TRUNK)
    ours, theirs = again.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", [AdaptKind.full, AdaptKind.bitfit])
def test_everything_trained_is_refused(tmp_path, kind) -> None:
    """Where training begins in the first layers, nothing can be computed once."""
    job, _ = make_job(tmp_path, adapt=AdaptConfig(kind=kind, frozen_epochs=0))
    job = with_trainer(job, mode=TrainMode.trunk)
    with pytest.raises(ConfigError, match=rf"adapt={kind.value} trains the backbone from its first layer on"):
        fit_job(job)


@pytest.mark.parametrize(
    ("task", "changes", "named"),
    [
        ({"mixup": 0.2}, {}, r"task\.mixup=0\.2"),
        ({"cutmix": 1.0}, {}, r"task\.cutmix=1"),
        ({}, {"smallest_size": 0.5}, r"trainer\.smallest_size=0\.5"),
        ({}, {"devices": 2}, r"trainer\.devices=2"),
    ],
)
def test_settings_that_need_pixels_are_refused(tmp_path, task, changes, named) -> None:
    """What changes pixels in every epoch anew, or needs several devices, is an error that names it."""
    job, _ = make_job(tmp_path, task=TaskConfig(**task))
    with pytest.raises(ConfigError, match=named):
        fit_job(with_trainer(job, mode=TrainMode.trunk, **changes))


def test_images_without_hashes(tmp_path) -> None:
    """Activations are kept under the hash of the file, so there must be one."""
    job, _ = make_job(tmp_path)
    job = dataclasses.replace(job, val=dataclasses.replace(job.val, sha256=()))
    with pytest.raises(DataValidationError, match="12 images come with 0 file hashes"):
        fit_trunk(job, TRUNK)


class TestChooseViews:
    """How many views are kept."""

    def test_without_augmentation_there_is_one(self, tmp_path) -> None:
        """All views would be the same."""
        job, _ = make_job(tmp_path)
        assert choose_views(with_trainer(job, views=5), 100) == 1

    def test_as_given(self, tmp_path) -> None:
        """The user's number is taken."""
        job, _ = make_job(tmp_path, augment=AugmentPreset.leaf)
        assert choose_views(with_trainer(job, views=20), 100) == 20

    def test_none_is_the_images_as_they_are(self, tmp_path) -> None:
        """Without augmented views the tail learns from one view: images as they are, with the name of view 0."""
        job, _ = make_job(tmp_path, adapt=AdaptConfig(kind=AdaptKind.last_stages), augment=AugmentPreset.leaf)
        job = with_trainer(job, views=0, mode=TrainMode.trunk)

        def refuse(*_: object, **__: object) -> None:
            pytest.fail("an image was changed")

        assert choose_views(job, 100) == 1
        assert fit_job(dataclasses.replace(job, augmentation=refuse)) is TrainMode.trunk

    @pytest.mark.parametrize(("epochs", "expected"), [(3, 3), (50, 8)])
    def test_one_an_epoch(self, tmp_path, epochs, expected) -> None:
        """One an epoch, eight at most."""
        job, _ = make_job(tmp_path, augment=AugmentPreset.leaf)
        assert choose_views(with_trainer(job, max_epochs=epochs), 100) == expected

    def test_cache_is_not_overrun(self, tmp_path) -> None:
        """Views take at most half of the cache, and there is always one."""
        job, _ = make_job(tmp_path, augment=AugmentPreset.leaf)
        job = with_trainer(job, max_epochs=50)
        job.config.paths.cache_max_gb = 26 * 100 * 2 * 2.5 / 1e9
        assert choose_views(job, 100) == 2
        assert choose_views(job, 10**9) == 1
