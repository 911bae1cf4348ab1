"""The words of a sweep, and what the console shows of the log."""

import pytest
from loguru import logger

from phytoscope.cli.sweep_command import name_sweep_keys
from phytoscope.cli.terminal import LOG_VARIABLE, say, show_log
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError
from phytoscope.steps.run_log import log_said


def test_settings_of_a_sweep_stand_without_their_group():
    """`n_trials=20` is `sweep.n_trials=20`; presets and settings of other groups are left as they are."""
    words = ["sweep=default", "n_trials=7", "pruner=median", "data=folder", "data.root=x", "seed=3"]
    config = compose_config(name_sweep_keys(words))
    assert (config.sweep.n_trials, config.sweep.pruner.value, config.seed) == (7, "median", 3)
    assert name_sweep_keys(["sweep.n_trials=2", "trainer.max_epochs=1"]) == ["sweep.n_trials=2", "trainer.max_epochs=1"]


def test_space_of_the_command_line_is_added():
    """What is given is tried beside the preset's; null takes something out."""
    words = ["data=folder", "data.root=x", "sweep.space={model.dropout: null, adapt.rank: {low: 2, high: 8}}"]
    space = compose_config(words).sweep.space
    assert space["adapt.rank"] == {"low": 2, "high": 8}
    assert space["model.dropout"] is None
    assert space["trainer.learning_rate"]["log"] is True


@pytest.fixture
def sinks():
    """Takes away the sinks that a test adds."""
    first = logger.add(lambda _: None)
    yield
    for sink in range(first, first + 3):
        try:
            logger.remove(sink)
        except ValueError:
            continue


def test_log_on_the_console(monkeypatch, capsys, sinks):
    """Records of libraries are shown from the level on that was asked for; what was said is not shown twice."""
    monkeypatch.setenv(LOG_VARIABLE, "info")
    show_log()
    logger.info("a library [speaks]")
    logger.debug("too fine")
    log_said(say)("a sentence")
    shown = capsys.readouterr().err
    assert "INFO     a library [speaks]" in shown
    assert "too fine" not in shown
    assert shown.count("a sentence") == 1


def test_unknown_level_is_refused(monkeypatch):
    """A level that does not exist is named, with those that do."""
    monkeypatch.setenv(LOG_VARIABLE, "loud")
    with pytest.raises(ConfigError, match=r"PHYTOSCOPE_LOG='loud' is no level.*debug"):
        show_log()
