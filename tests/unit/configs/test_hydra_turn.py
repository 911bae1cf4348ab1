"""Settings are composed in programs that use Hydra themselves, and in several threads at once."""

from concurrent.futures import ThreadPoolExecutor

from hydra import compose, initialize_config_dir

from phytoscope.configs import compose_config


def test_the_callers_own_hydra_is_given_back(tmp_path) -> None:
    """A program whose settings Hydra holds can still ask for them afterwards."""
    (tmp_path / "config.yaml").write_text("own: 1\n", encoding="utf-8")

    with initialize_config_dir(str(tmp_path), version_base=None):
        config = compose_config(["data=folder", "data.root=leaves", "seed=3"])
        own = compose("config")

    assert config.seed == 3
    assert own == {"own": 1}


def test_threads_do_not_disturb_each_other() -> None:
    """Each thread gets the settings that it asked for."""
    with ThreadPoolExecutor(4) as pool:
        configs = list(pool.map(lambda seed: compose_config(["data=folder", "data.root=x", f"seed={seed}"]), range(8)))

    assert [config.seed for config in configs] == list(range(8))
