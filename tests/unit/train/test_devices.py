"""Several devices see together what one would have seen."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch.multiprocessing.spawn import ProcessRaisedException

from factories.bright_squares import CONFIG, fit, make_data, make_task
from phytoscope.errors import ConfigError, TrainingError
from phytoscope.models.adapters import adapt_network
from phytoscope.models.network import build_network
from phytoscope.schema.choices import AdaptKind, Averaging
from phytoscope.schema.train_config import AdaptConfig, ModelConfig, TrainerConfig
from phytoscope.train.checkpoints import LAST_NAME, restore_network
from phytoscope.train.devices import check_sendable, choose_strategy, read_error_of_device


@pytest.mark.slow
def test_two_devices_train_like_one(tmp_path) -> None:
    """The same history in as many steps, every image counted once, and the weights in this process afterwards."""
    # Without batch statistics, of which each device would have its own, only the order of additions differs.
    adapt = AdaptConfig(kind=AdaptKind.bitfit, frozen_epochs=1)
    histories, tasks = {}, {}
    for devices in (1, 2):
        config = dataclasses.replace(CONFIG, devices=devices, max_epochs=2)
        tasks[devices] = make_task(classes=True, config=config, dropout=0.0, adapt=adapt)
        data = make_data(classes=True, n=29, n_val=11)
        histories[devices] = fit(tmp_path / str(devices), tasks[devices], data, config)
        restore_network(tasks[devices].network, tmp_path / str(devices) / "checkpoints" / LAST_NAME)
    assert list(histories[1]) == list(histories[2])
    pd.testing.assert_frame_equal(histories[1], histories[2], rtol=1e-4, atol=1e-5)
    first, second = (tasks[devices].network.state_dict() for devices in (1, 2))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_all_devices_validate_the_network_that_is_kept(tmp_path) -> None:
    """Batch statistics differ from device to device; validation counts those of the one whose weights are written."""
    config = dataclasses.replace(CONFIG, devices=2, max_epochs=2, averaging=Averaging.ema)
    task = make_task(classes=True, config=config, dropout=0.0)
    data = make_data(classes=True, n=29, n_val=11)
    history = fit(tmp_path, task, data, config)
    restore_network(task.network, tmp_path / "checkpoints" / LAST_NAME)
    task.eval()
    with torch.no_grad():
        answers = [(task.network(batch.images), batch.target) for batch in data.val_dataloader()]
    outputs, target = (torch.cat(parts) for parts in zip(*answers, strict=True))
    assert float(task.compute_loss(outputs, target)) == pytest.approx(history["val/loss"].iloc[-1], rel=1e-4)


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        (TrainerConfig(), {}, "auto"),
        (TrainerConfig(), {"RANK": "0", "WORLD_SIZE": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "auto"),
        (TrainerConfig(devices=2), {}, "ddp_spawn"),
        (TrainerConfig(devices=2), {"RANK": "1", "WORLD_SIZE": "2"}, "ddp"),
        (TrainerConfig(devices=2, num_nodes=2), {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, "ddp"),
        (TrainerConfig(devices=2, strategy="fsdp"), {"RANK": "0", "WORLD_SIZE": "2"}, "fsdp"),
        (TrainerConfig(devices=2, strategy="ddp_spawn"), {}, "ddp_spawn"),
    ],
)
def test_strategy(config, environment, expected) -> None:
    """One process a device, started by us unless torchrun or SLURM has done so."""
    assert choose_strategy(config, environment, frozen_first=False) == expected


def test_strategy_where_the_backbone_stands_still_at_first() -> None:
    """Gradients that are missing in the first epochs are no reason to wait for them."""
    config = TrainerConfig(devices=2)
    assert choose_strategy(config, {}, frozen_first=True) == "ddp_spawn_find_unused_parameters_true"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (TrainerConfig(devices=2, strategy="ddp"), "start the command line anew"),
        (TrainerConfig(devices=1, num_nodes=2), "with torchrun or SLURM"),
    ],
)
def test_strategy_that_would_start_the_command_anew(config, words) -> None:
    """Lightning's own way of starting processes runs the command line again, which composes and locks again."""
    with pytest.raises(ConfigError, match=words):
        choose_strategy(config, {}, frozen_first=False)


def test_error_of_a_device_is_told_without_its_traceback() -> None:
    """The last line of the traceback is what went wrong."""
    text = "-- Process 1 terminated --\nTraceback:\n  File x\nphytoscope.errors.TrainingError: the loss became nan\n"
    error = read_error_of_device(ProcessRaisedException(text, 1, 1))
    assert isinstance(error, TrainingError)
    assert str(error) == "the process of a device ended: TrainingError: the loss became nan"


@pytest.mark.parametrize(("batch_size", "n", "words"), [(2, 26, "at least 4"), (8, 3, "too few for 2")])
def test_batches_that_cannot_be_divided(batch_size, n, words) -> None:
    """Every device needs its part of every batch."""
    data = make_data(classes=True, n=n)
    data._batch_size = batch_size
    data.trainer = SimpleNamespace(world_size=2, global_rank=0)
    with pytest.raises(ConfigError, match=words):
        data.train_dataloader()


@pytest.mark.parametrize("kind", [AdaptKind.lora, AdaptKind.ssf])
def test_adapters_that_cannot_be_sent_to_other_processes(kind) -> None:
    """torch refuses to pickle weights that are computed from others; the user is told what works."""
    network, _ = build_network(ModelConfig(backbone="test_resnet", weights="random", input_size_px=32), 2)
    check_sendable(network, "ddp_spawn")
    adapt_network(network, AdaptConfig(kind=kind))
    check_sendable(network, "ddp")
    with pytest.raises(ConfigError, match="torchrun"):
        check_sendable(network, "ddp_spawn")
