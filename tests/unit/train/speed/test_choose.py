"""The choice between the ways of training, from speeds that are given."""

import dataclasses

import pytest

from phytoscope.schema.choices import TrainMode
from phytoscope.train.speed.choose import (
    Workload,
    choose_mode,
    estimate_plain,
    estimate_trunk,
    is_data_bound,
    plain_image_seconds,
    word_duration,
)
from phytoscope.train.speed.measure import Speeds

SPEEDS = Speeds(
    prepare_s=0.002,
    step_s=0.02,
    look_s=0.005,
    trunk_s=0.004,
    tail_step_s=0.001,
    trunk_bytes=20_000,
    cores=2,
    on_gpu=False,
    measured_s=1.0,
)
WORK = Workload(
    train_images=2000,
    val_images=300,
    epochs=20,
    views=4,
    size_cost=1.0,
    num_workers=1,
    cache_max_gb=50.0,
    adapt="last_stages",
    head_only=False,
)


def test_trunk_is_chosen_where_it_pays() -> None:
    """20 epochs of a whole network take longer than four views of its trunk and 20 epochs of its tail."""
    choice = choose_mode(WORK, SPEEDS)
    assert choice.mode is TrainMode.trunk
    assert choice.cache_gb == pytest.approx(20_000 * (2000 * 4 + 300) / 1e9)
    assert choice.seconds["trunk"] == pytest.approx(2000 * 4 * 0.005 + 300 * 0.004 + 20 * (2000 * 0.001 + 300 * 0.001))
    assert choice.seconds["plain"] == pytest.approx(20 * (2000 * 0.021 + 300 * 0.005))
    assert choice.reason == (
        "trainer.mode=trunk: adapt=last_stages trains only the last part of the backbone. The rest runs once over "
        "2,000 images x 4 views (41 s, 0.17 GB of cache), then 20 epochs run at about 1,000 images/s: 87 s in all "
        "instead of 14 min."
    )


def test_trunk_is_not_chosen_where_it_does_not_pay() -> None:
    """With one epoch the whole network is as fast as trunk and tail."""
    choice = choose_mode(dataclasses.replace(WORK, epochs=1, views=1), dataclasses.replace(SPEEDS, tail_step_s=0.015))
    assert choice.mode is TrainMode.plain
    assert "trunk mode would take" in choice.reason


def test_cache_must_fit() -> None:
    """Activations that exceed the cache are not computed."""
    choice = choose_mode(dataclasses.replace(WORK, cache_max_gb=0.1), SPEEDS)
    assert choice.mode is TrainMode.plain
    assert "trunk mode would need 0.2 GB of cache, above paths.cache_max_gb=0.1" in choice.reason


def test_full_is_plain() -> None:
    """Where all is trained only the plain way is left; the sentence says what limits it and how long it takes."""
    choice = choose_mode(
        dataclasses.replace(WORK, adapt="full"), dataclasses.replace(SPEEDS, trunk_s=None, tail_step_s=None)
    )
    assert choice.mode is TrainMode.plain
    assert list(choice.seconds) == ["plain"]
    assert choice.reason == (
        "trainer.mode=plain: adapt=full trains from the first layers on, so nothing can be computed once. It is "
        "compute-bound: images are prepared at 500 and trained at 50 images/s; 20 epochs of 2,000 images take about "
        "14 min."
    )


def test_head_is_features() -> None:
    """A backbone that is not trained sees each view once."""
    choice = choose_mode(dataclasses.replace(WORK, head_only=True, adapt="head"), SPEEDS)
    assert choice.mode is TrainMode.features
    assert choice.reason == (
        "trainer.mode=features: the backbone is not trained (adapt=head), so it sees each image only 4 times: 2,000 "
        "images x 4 views at about 168 images/s take 50 s instead of 14 min; every later head takes seconds."
    )


@pytest.mark.parametrize("head_only", [True, False])
def test_settings_that_need_every_pixel(head_only) -> None:
    """They decide before any speed does, and the sentence names them."""
    choice = choose_mode(dataclasses.replace(WORK, head_only=head_only), SPEEDS, plain_only=["task.mixup=0.2"])
    assert choice.mode is TrainMode.plain
    assert "task.mixup=0.2 needs the whole network in every epoch" in choice.reason


def test_data_bound() -> None:
    """Preparing images takes longer than training on them, also with two processes."""
    slow = dataclasses.replace(SPEEDS, prepare_s=0.05)
    assert not is_data_bound(WORK, SPEEDS)
    assert is_data_bound(WORK, slow)
    assert is_data_bound(dataclasses.replace(WORK, num_workers=2), slow)
    assert not is_data_bound(dataclasses.replace(WORK, num_workers=3), slow)
    assert (
        "data-bound" in choose_mode(dataclasses.replace(WORK, epochs=1), dataclasses.replace(slow, trunk_s=None)).reason
    )


def test_smaller_images_cost_less() -> None:
    """The mean number of pixels counts for the network, not for the preparation."""
    half = dataclasses.replace(WORK, size_cost=0.5)
    assert plain_image_seconds(half, SPEEDS) == pytest.approx(0.01 + 0.001)


def test_cores_are_shared_on_a_cpu_only() -> None:
    """On a GPU preparation happens beside the network; in one process one comes after the other."""
    assert plain_image_seconds(WORK, SPEEDS) == pytest.approx(0.021)
    assert plain_image_seconds(WORK, dataclasses.replace(SPEEDS, on_gpu=True)) == pytest.approx(0.02)
    assert plain_image_seconds(dataclasses.replace(WORK, num_workers=0), SPEEDS) == pytest.approx(0.022)


def test_no_cut_no_estimate() -> None:
    """Without a cut there is nothing to estimate; plain time grows with the epochs."""
    assert estimate_trunk(WORK, dataclasses.replace(SPEEDS, trunk_s=None)) is None
    assert estimate_plain(dataclasses.replace(WORK, epochs=40), SPEEDS) == pytest.approx(
        2 * estimate_plain(WORK, SPEEDS)
    )


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, "1 s"), (37, "37 s"), (240, "4 min"), (9000, "2.5 h")])
def test_durations(seconds, expected) -> None:
    """As people say them."""
    assert word_duration(seconds) == expected
