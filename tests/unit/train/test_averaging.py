"""Averages of the weights against their formulas, and in a training."""

import dataclasses

import pytest
import torch
from torch import nn

from factories.bright_squares import CONFIG, fit, make_data, make_task, same, weights
from phytoscope.schema.choices import Averaging
from phytoscope.train.averaging import WeightAverage, build_average
from phytoscope.train.checkpoints import BEST_NAME, LAST_NAME, restore_network


def walk(average, steps, *, first_epoch=0):
    """Weights and batch statistics that move at random; gives them step by step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    seen = []
    for step in range(steps):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(8, 3))
        average.update(network, step + first_epoch)
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
    return network, seen


NAMES = ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked")


def test_ema_follows_its_formula() -> None:
    """Once the warm-up is over, each step keeps the share that was asked for."""
    decay = 0.6
    average = WeightAverage(Averaging.ema, decay=decay, first_epoch=0, names=NAMES)
    _, seen = walk(average, 40)
    expected = {name: value.double() for name, value in seen[0].items()}
    for step, state in enumerate(seen[1:], start=1):
        keep = min(decay, (1 + step) / (10 + step))
        expected = {name: keep * expected[name] + (1 - keep) * state[name].double() for name in NAMES}
    found = average.state_dict()["tensors"]
    for name in NAMES[:-1]:
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-4, atol=1e-5)
    assert int(found["1.num_batches_tracked"]) == 40


def test_ema_forgets_the_first_weights_in_a_short_training() -> None:
    """After 20 steps with a decay of 0.998 the average is near the last weights, not near the first."""
    average = WeightAverage(Averaging.ema, decay=0.998, first_epoch=0, names=NAMES)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    nn.init.zeros_(network[0].weight)
    average.update(network, 0)
    nn.init.ones_(network[0].weight)
    for _ in range(20):
        average.update(network, 0)
    assert average.state_dict()["tensors"]["0.weight"].min() > 0.95


def test_swa_is_the_mean_over_the_last_epochs() -> None:
    """Earlier epochs do not count."""
    average = WeightAverage(Averaging.swa, decay=0.9, first_epoch=5, names=NAMES)
    _, seen = walk(average, 12)
    found = average.state_dict()["tensors"]
    for name in NAMES[:-1]:
        torch.testing.assert_close(found[name], torch.stack([state[name] for state in seen[5:]]).mean(dim=0))


def test_swap_there_and_back() -> None:
    """The network has the average between two swaps, and afterwards what it had, to the last bit."""
    average = WeightAverage(Averaging.swa, decay=0.9, first_epoch=0, names=NAMES)
    network, seen = walk(average, 4)
    mean = {name: value.clone() for name, value in average.state_dict()["tensors"].items()}
    average.swap(network)
    assert same(dict(network.state_dict()), mean)
    average.swap(network)
    assert same(dict(network.state_dict()), seen[-1])
    assert same(average.state_dict()["tensors"], mean)


@pytest.mark.parametrize(("epochs", "first"), [(40, 30), (4, 3), (2, 1), (1, 0)])
def test_swa_takes_the_last_quarter_of_the_epochs(epochs, first) -> None:
    """At least the last epoch."""
    config = dataclasses.replace(CONFIG, averaging=Averaging.swa, max_epochs=epochs)
    average = build_average(config, NAMES)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    for epoch in range(epochs):
        average.update(network, epoch)
    assert average.state_dict()["steps"] == epochs - first


def test_no_average_unless_asked_for() -> None:
    """The default keeps the weights themselves."""
    assert build_average(CONFIG, NAMES) is None


@pytest.mark.parametrize("kind", [Averaging.ema, Averaging.swa])
def test_average_is_validated_and_kept(tmp_path, kind) -> None:
    """The last weights are not the average; validation and the kept weights are, and they answer alike."""
    config = dataclasses.replace(CONFIG, averaging=kind, average_decay=0.9)
    task = make_task(classes=True, config=config)
    data = make_data(classes=True)
    history = fit(tmp_path, task, data, config)
    checkpoint = torch.load(tmp_path / "checkpoints" / LAST_NAME, weights_only=True)
    last = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
    kept = weights(tmp_path)
    assert not same(last, kept)
    restore_network(task.network, tmp_path / "checkpoints" / LAST_NAME)
    task.eval()
    with torch.no_grad():
        outputs, target = zip(
            *((task.network(batch.images), batch.target) for batch in data.val_dataloader()), strict=True
        )
        loss = task.compute_loss(torch.cat(outputs), torch.cat(target))
    assert float(loss) == pytest.approx(history["val/loss"].iloc[-1], rel=1e-4)
    assert (tmp_path / "checkpoints" / BEST_NAME).exists()


def test_training_itself_does_not_see_the_average(tmp_path) -> None:
    """The weights that are trained are the same with and without an average."""
    config = dataclasses.replace(CONFIG, averaging=Averaging.ema)
    fit(tmp_path / "with", make_task(classes=True, config=config), make_data(classes=True), config)
    fit(tmp_path / "without", make_task(classes=True), make_data(classes=True))
    states = [
        torch.load(tmp_path / name / "checkpoints" / LAST_NAME, weights_only=True)["state_dict"]
        for name in ("with", "without")
    ]
    assert same(*states)
