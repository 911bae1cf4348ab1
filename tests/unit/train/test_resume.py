"""A training that was stopped anywhere and goes on ends like one that was never stopped, to the last bit."""

import dataclasses

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from factories.bright_squares import CONFIG, THAWED, fit, make_data, make_task, same, weights
from phytoscope.errors import TrainingError
from phytoscope.schema.choices import AdaptKind, Averaging
from phytoscope.schema.train_config import AdaptConfig, TaskConfig
from phytoscope.train.checkpoints import BEST_NAME, LAST_NAME, can_continue, restore_network

AT_EVERY_BATCH = dataclasses.replace(CONFIG, checkpoint_minutes=1e-9)
MIXED = TaskConfig(mixup=0.2, cutmix=1.0)
LORA = AdaptConfig(kind=AdaptKind.lora, rank=2, dropout=0.3, frozen_epochs=1)


class StopError(Exception):
    """What stops a training here."""


class Stopper(Callback):
    """Stops a training before one of its batches."""

    def __init__(self, epoch: int, batch: int) -> None:
        self._place = (epoch, batch)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if (trainer.current_epoch, batch_idx) == self._place:
            raise StopError


class Noter(Callback):
    """Notes which batches were trained on."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.places.append((trainer.current_epoch, batch_idx))


def compare(place, *, config=AT_EVERY_BATCH, stops=((1, 2),), classes=True, data=None, **task):
    """Train once without and once with stops; both must end the same. Gives where the last part trained."""
    data = data or {}
    whole = fit(
        place / "whole", make_task(classes=classes, config=config, **task), make_data(classes=classes, **data), config
    )
    for stop in stops:
        with pytest.raises(StopError):
            fit(
                place / "parts",
                make_task(classes=classes, config=config, **task),
                make_data(classes=classes, **data),
                config,
                [Stopper(*stop)],
            )
        torch.manual_seed(999)
    noter = Noter()
    parts = fit(
        place / "parts",
        make_task(classes=classes, config=config, **task),
        make_data(classes=classes, **data),
        config,
        [noter],
    )
    assert parts.to_csv() == whole.to_csv()
    for name in (LAST_NAME, BEST_NAME):
        assert same(weights(place / "parts", name), weights(place / "whole", name))
    return noter.places


@pytest.mark.parametrize("stop", [(0, 1), (0, 3), (1, 0), (2, 3)], ids=str)
def test_goes_on_at_the_next_batch(tmp_path, stop) -> None:
    """In the first epoch, in its last batch, between two epochs, in the last batch of all."""
    places = compare(tmp_path, stops=[stop])
    assert places[0] == stop
    assert len(places) == 12 - (4 * stop[0] + stop[1])


def test_stopped_again_and_again(tmp_path) -> None:
    """Three stops, two of them in one epoch."""
    places = compare(tmp_path, stops=[(0, 2), (1, 1), (1, 3)])
    assert places[0] == (1, 3)


def test_without_a_checkpoint_in_the_epoch_it_begins_again(tmp_path) -> None:
    """An epoch that is shorter than trainer.checkpoint_minutes is trained again from its start."""
    assert compare(tmp_path, config=CONFIG, stops=[(1, 2)])[0] == (1, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"config": dataclasses.replace(AT_EVERY_BATCH, averaging=Averaging.ema)},
        {"config": dataclasses.replace(AT_EVERY_BATCH, averaging=Averaging.swa), "stops": ((1, 2), (2, 2))},
        {"learned": MIXED},
        {"learned": TaskConfig(mixup=0.4), "classes": False},
        {"adapt": LORA, "stops": ((0, 2), (1, 2))},
        {"adapt": AdaptConfig(kind=AdaptKind.norm, frozen_epochs=1, running_statistics=True)},
        {"data": {"balanced": True}},
        pytest.param({"data": {"num_workers": 2}, "stops": ((1, 0), (2, 1))}, marks=pytest.mark.slow),
        pytest.param(
            {
                "config": dataclasses.replace(AT_EVERY_BATCH, averaging=Averaging.ema, gradient_clip=0.1),
                "learned": MIXED,
                "adapt": LORA,
                "data": {"num_workers": 1},
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["ema", "swa", "mixup and cutmix", "mixup of numbers", "lora", "norm", "balanced", "workers", "all at once"],
)
def test_whatever_is_random_or_averaged(tmp_path, settings) -> None:
    """Everything that draws at random or sums up goes on where it was."""
    compare(tmp_path, **settings)


def test_first_epoch_can_be_continued_without_a_best_one(tmp_path) -> None:
    """Within the first epoch there is neither a best checkpoint nor a history."""
    with pytest.raises(StopError):
        fit(tmp_path, make_task(classes=True), make_data(classes=True), AT_EVERY_BATCH, [Stopper(0, 2)])
    assert not (tmp_path / "checkpoints" / BEST_NAME).exists()
    assert can_continue(tmp_path / "checkpoints", tmp_path / "history.csv")


@pytest.mark.parametrize("kind", [AdaptKind.head, AdaptKind.bitfit, AdaptKind.lora])
def test_checkpoint_of_an_adapter_is_small(tmp_path, kind) -> None:
    """What is never trained is not in the checkpoint, and comes back from the network that goes on."""
    adapt = AdaptConfig(kind=kind, frozen_epochs=0, rank=2)
    task = make_task(classes=True, adapt=adapt)
    fit(tmp_path, task, make_data(classes=True))
    place = tmp_path / "checkpoints"
    whole = sum(value.numel() * 4 for value in task.network.state_dict().values())
    assert (place / BEST_NAME).stat().st_size < 0.6 * whole
    other = make_task(classes=True, adapt=adapt)
    restore_network(other.network, place / LAST_NAME)
    assert same(task.network.state_dict(), other.network.state_dict())


def test_checkpoint_of_another_backbone_is_refused(tmp_path) -> None:
    """A frozen part that differs from the one that was trained with would spoil the training in silence."""
    adapt = AdaptConfig(kind=AdaptKind.head, frozen_epochs=0)
    fit(tmp_path, make_task(classes=True, adapt=adapt), make_data(classes=True))
    with pytest.raises(TrainingError, match="written with other pre-trained weights"):
        fit(tmp_path, make_task(classes=True, adapt=adapt, seed=1), make_data(classes=True))


def test_checkpoint_of_another_network_is_refused(tmp_path) -> None:
    """Weights that do not fit are an error and not half a network."""
    fit(tmp_path, make_task(classes=True), make_data(classes=True))
    other = make_task(classes=False, adapt=THAWED)
    with pytest.raises(TrainingError, match="belongs to another network"):
        restore_network(other.network, tmp_path / "checkpoints" / LAST_NAME)
