"""What a training on a Ray cluster is refused with before anything is computed, and what the workers receive."""

import pytest

from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import write_json
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.ray_ranks import _bound_cores, _count_room, check_ray_training, trains_on_ray

WORDS = ["data=folder", "data.root=nowhere", "engine=ray", "trainer.devices=2"]


def make(place, *more):
    """A prepared run."""
    run = RunFolder(place)
    run.record("prepare").parent.mkdir(parents=True)
    write_json(run.record("prepare"), {})
    return RunContext(compose_config([*WORDS, *more]), run)


@pytest.mark.parametrize(
    ("more", "expected"),
    [([], True), (["trainer.devices=1"], False), (["trainer.devices=1", "trainer.num_nodes=2"], True)],
)
def test_only_several_devices_go_to_the_cluster(more, expected) -> None:
    """One device trains where the command runs, which is where the user's GPU is."""
    assert trains_on_ray(compose_config([*WORDS, *more])) is expected
    assert not trains_on_ray(compose_config([*WORDS, *more, "engine=local"]))


def test_what_goes_together_is_let_through(tmp_path, monkeypatch) -> None:
    """An ordinary run."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    check_ray_training(make(tmp_path), watched=False)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["trainer.strategy=ddp_spawn"], "trainer.strategy=ddp_spawn"),
        (["task.pseudo_labels=true"], "task.pseudo_labels=true"),
        (["trainer.profile=true"], "trainer.profile=true"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path, more, words) -> None:
    """The text names the setting and the way out."""
    with pytest.raises(ConfigError, match=f"{words}.*trainer.devices=1"):
        check_ray_training(make(tmp_path, *more), watched=False)


def test_trials_and_folds_are_refused(tmp_path) -> None:
    """They are watched from here, or have no folder with prepared data."""
    with pytest.raises(ConfigError, match="sweeps, folds and ensembles"):
        check_ray_training(make(tmp_path / "run"), watched=True)
    with pytest.raises(ConfigError, match="sweeps, folds and ensembles"):
        check_ray_training(RunContext(compose_config(WORDS), RunFolder(tmp_path / "fold")), watched=False)


def test_torchrun_and_ray_are_not_mixed(tmp_path, monkeypatch) -> None:
    """Each process of torchrun would start workers of its own."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="torchrun"):
        check_ray_training(make(tmp_path), watched=False)


def test_workers_keep_to_their_cores() -> None:
    """One core computes, the others prepare batches; what the user said stays."""
    config = compose_config([*WORDS, "engine.cores=3"])
    assert (_bound_cores(config).trainer.threads, _bound_cores(config).trainer.num_workers) == (3, 2)
    config = compose_config([*WORDS, "trainer.threads=7", "trainer.num_workers=0"])
    assert (_bound_cores(config).trainer.threads, _bound_cores(config).trainer.num_workers) == (7, 0)


def test_room_counts_whole_workers_a_machine() -> None:
    """Half a worker on each of two machines is none, and machines that are gone do not count."""

    class Ray:
        @staticmethod
        def nodes():
            return [
                {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 1.0}},
                {"Alive": True, "Resources": {"CPU": 1.0}},
                {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
            ]

    assert _count_room(Ray, {"CPU": 2}) == 1
    assert _count_room(Ray, {"CPU": 1}) == 4
    assert _count_room(Ray, {"CPU": 1, "GPU": 0.5}) == 2
