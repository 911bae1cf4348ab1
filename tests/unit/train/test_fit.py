"""Training on tiny images whose answer is their brightness."""

import dataclasses

import numpy as np
import pytest
import torch

from factories.bright_squares import CONFIG, draw, fit, make_data, make_task, same, weights
from phytoscope.errors import ConfigError, TrainingError
from phytoscope.schema.choices import AdaptKind, Averaging, OptimizerKind
from phytoscope.schema.train_config import AdaptConfig, TrainerConfig
from phytoscope.train.checkpoints import BEST_NAME, LAST_NAME, can_continue, load_network_state
from phytoscope.train.plan import plan_training


@pytest.mark.parametrize("classes", [True, False])
def test_tiny_set_is_learned(tmp_path, classes) -> None:
    """Brightness is learned far better than by always giving the same answer."""
    config = dataclasses.replace(CONFIG, max_epochs=8)
    history = fit(tmp_path, make_task(classes=classes, config=config), make_data(classes=classes), config)
    if classes:
        assert history["val/accuracy"].max() > 0.9
    else:
        assert history["val/r2"].max() > 0.7


@pytest.mark.parametrize("seed", [0, 1])
def test_same_seed_same_weights(tmp_path, seed) -> None:
    """The seed decides everything; 0 is a seed like any other."""
    for name in ("a", "b"):
        fit(tmp_path / name, make_task(classes=True, seed=seed), make_data(classes=True, seed=seed))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_other_seed_other_weights(tmp_path) -> None:
    """Another seed of order, augmentation and dropout gives another network."""
    fit(tmp_path / "a", make_task(classes=True), make_data(classes=True, seed=0))
    fit(tmp_path / "b", make_task(classes=True), make_data(classes=True, seed=1))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_seed_of_dropout(tmp_path) -> None:
    """What is random inside the network follows the task's seed, whatever drew random numbers before."""
    for name in ("a", "b"):
        task = make_task(classes=True, dropout=0.5)
        torch.rand(len(name) * 17)
        fit(tmp_path / name, task, make_data(classes=True))
    other = make_task(classes=True, dropout=0.5)
    other._seed = 1
    fit(tmp_path / "c", other, make_data(classes=True))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.slow
def test_number_of_workers_does_not_matter(tmp_path) -> None:
    """Batches prepared by another process give the same network."""
    fit(tmp_path / "a", make_task(classes=True), make_data(classes=True))
    fit(tmp_path / "b", make_task(classes=True), make_data(classes=True, num_workers=1))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def snapshot(task) -> dict[str, torch.Tensor]:
    """A copy of everything in the network."""
    return {name: value.clone() for name, value in task.network.state_dict().items()}


def test_frozen_backbone_stands_still(tmp_path) -> None:
    """Neither weights nor batch statistics of a frozen backbone change; the head does."""
    task = make_task(classes=True, adapt=AdaptConfig(kind=AdaptKind.head, frozen_epochs=0))
    before = snapshot(task)
    fit(tmp_path, task, make_data(classes=True))
    assert same(before, snapshot(task), "backbone.")
    assert not same(before, snapshot(task), "head.")


def test_backbone_thaws_when_it_is_time(tmp_path) -> None:
    """With two frozen epochs the backbone stands still for two epochs, and then moves, batch statistics too."""
    for epochs in (2, 3):
        config = dataclasses.replace(CONFIG, max_epochs=epochs)
        task = make_task(classes=True, adapt=AdaptConfig(frozen_epochs=2), config=config)
        before = snapshot(task)
        fit(tmp_path / str(epochs), task, make_data(classes=True), config)
        after = weights(tmp_path / str(epochs))
        assert same(before, after, "backbone.") == (epochs == 2)
        moved = "backbone.bn1.running_mean" if "backbone.bn1.running_mean" in before else "backbone.conv1.weight"
        assert torch.equal(before[moved], after[moved]) == (epochs == 2)


def test_history(tmp_path) -> None:
    """One row an epoch, with loss, metrics and learning rate."""
    history = fit(tmp_path, make_task(classes=False), make_data(classes=False))
    assert history["epoch"].tolist() == [0, 1, 2]
    assert {"train/loss", "val/loss", "val/rmse", "val/mae", "val/r2", "learning_rate"} <= set(history)
    assert np.isfinite(history.to_numpy()).all()


def test_best_epoch_is_kept(tmp_path) -> None:
    """`best.ckpt` holds the epoch with the best metric, `last.ckpt` the last one."""
    history = fit(tmp_path, make_task(classes=False), make_data(classes=False))
    best = torch.load(tmp_path / "checkpoints" / BEST_NAME, weights_only=True)
    last = torch.load(tmp_path / "checkpoints" / LAST_NAME, weights_only=True)
    assert best["epoch"] == history["val/rmse"].idxmin()
    assert last["epoch"] == 2


def test_metrics_are_in_the_user_s_unit(tmp_path) -> None:
    """The error of a regression is counted in the unit of the target, not on the learned scale."""
    history = fit(tmp_path, make_task(classes=False), make_data(classes=False))
    spread = draw(12, 2)[1].std()
    assert history["val/rmse"].iloc[0] > 0.1 * spread


def test_learning_rate_rises_and_falls() -> None:
    """Warm-up to the peak, then a cosine to zero; the backbone's is a fixed share of the head's."""
    task = make_task(classes=True)

    class Steps:
        estimated_stepping_batches = 100

    task._trainer = Steps()
    found = task.configure_optimizers()
    optimizer, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    head, backbone = np.array(rates)[:, 0], np.array(rates)[:, 2]
    np.testing.assert_allclose(head[:10], 0.01 * np.arange(1, 11) / 11)
    np.testing.assert_allclose(head[10:], 0.005 * (1 + np.cos(np.pi * np.arange(90) / 90)))
    np.testing.assert_allclose(backbone, 0.3 * head)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.02, 0.0, 0.02, 0.0]


@pytest.mark.parametrize(("kind", "expected"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_optimizer_is_the_one_that_was_asked_for(kind, expected) -> None:
    """Both optimisers on offer."""
    task = make_task(classes=True, config=dataclasses.replace(CONFIG, optimizer=OptimizerKind(kind)))
    task._trainer = type("Steps", (), {"estimated_stepping_batches": 10})()
    assert type(task.configure_optimizers()["optimizer"]) is expected


def test_loss_that_is_not_finite(tmp_path) -> None:
    """Training that diverges ends with an error that names a smaller learning rate."""
    task = make_task(classes=False)
    task.network.head.bias.data.fill_(np.inf)
    with pytest.raises(TrainingError, match=r"the loss became (inf|nan) in epoch 0: .*trainer\.learning_rate=0\.00333"):
        fit(tmp_path, task, make_data(classes=False))


def test_open_settings_are_refused(tmp_path) -> None:
    """The number of epochs must have been planned."""
    config = dataclasses.replace(CONFIG, max_epochs=None)
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs and trainer\.patience are open"):
        fit(tmp_path, make_task(classes=True), make_data(classes=True), config)


def test_stops_early(tmp_path) -> None:
    """Training ends when nothing gets better for as long as the patience says."""
    config = dataclasses.replace(CONFIG, max_epochs=30, patience=2, learning_rate=1e-12)
    history = fit(tmp_path, make_task(classes=True, config=config), make_data(classes=True), config)
    assert len(history) <= 4


def test_does_not_stop_before_the_average_begins(tmp_path) -> None:
    """Who asks for a mean over the last epochs gets one, however short the patience."""
    config = dataclasses.replace(CONFIG, max_epochs=12, patience=2, learning_rate=1e-12, averaging=Averaging.swa)
    history = fit(tmp_path, make_task(classes=True, config=config), make_data(classes=True), config)
    assert len(history) > 9
    averaged = torch.load(tmp_path / "checkpoints" / LAST_NAME, weights_only=True)["average"]["steps"]
    assert averaged == (len(history) - 9) * 4


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"junk" * 100])
def test_damaged_checkpoint(tmp_path, content) -> None:
    """What is no checkpoint is refused, and cannot be continued."""
    path = tmp_path / BEST_NAME
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"best\.ckpt' cannot be read .*run `phytoscope train` again"):
        load_network_state(path)
    assert not can_continue(tmp_path, tmp_path / "history.csv")


@pytest.mark.parametrize("content", [[1], {"epoch": 3}, torch.zeros(2)])
def test_file_that_is_no_checkpoint(tmp_path, content) -> None:
    """Something else that torch can read is no checkpoint."""
    torch.save(content, tmp_path / BEST_NAME)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_network_state(tmp_path / BEST_NAME)


def test_continue_needs_all_three(tmp_path) -> None:
    """Best and last checkpoint and history."""
    fit(tmp_path, make_task(classes=True), make_data(classes=True))
    place, history = tmp_path / "checkpoints", tmp_path / "history.csv"
    assert can_continue(place, history)
    for missing in (place / BEST_NAME, place / LAST_NAME, history):
        content = missing.read_bytes()
        missing.unlink()
        assert not can_continue(place, history)
        missing.write_bytes(content)
    history.write_text("a,b\n1,2\n")
    assert not can_continue(place, history)


class TestPlan:
    """How long to train when the settings leave it open."""

    def test_small_sets_are_trained_for_longer(self) -> None:
        """The fewer batches an epoch the more epochs, within bounds that a person would choose."""
        planned = [plan_training(TrainerConfig(), AdaptConfig(), batches)[0] for batches in (0, 1, 20, 50, 5000)]
        epochs = [trainer.max_epochs for trainer in planned]
        assert epochs == sorted(epochs, reverse=True)
        assert epochs[0] == epochs[1] <= 100
        assert epochs[-1] >= 5

    @pytest.mark.parametrize("batches", [1, 50, 5000])
    def test_nothing_stays_open(self, batches) -> None:
        """Training stops when half of the epochs brought nothing better; the head is fitted before the first one."""
        trainer, adapt = plan_training(TrainerConfig(), AdaptConfig(), batches)
        assert trainer.patience == -(-trainer.max_epochs // 2)
        assert adapt.frozen_epochs is None

    def test_what_was_given_stays(self) -> None:
        """0 frozen epochs are 0."""
        trainer, adapt = plan_training(TrainerConfig(max_epochs=7, patience=1), AdaptConfig(frozen_epochs=0), 50)
        assert (trainer.max_epochs, trainer.patience, adapt.frozen_epochs) == (7, 1, 0)

    def test_frozen_epochs_do_not_exceed_all(self) -> None:
        """With two epochs, five cannot be frozen."""
        assert plan_training(TrainerConfig(max_epochs=2), AdaptConfig(frozen_epochs=5), 50)[1].frozen_epochs == 2
