"""What a sweep tries is read from the settings, and every mistake in it is named."""

import pytest

from phytoscope.errors import ConfigError
from phytoscope.train.sweep.space import list_tried, read_space, word_setting


def test_kinds_of_ranges():
    """Floating-point, logarithmic, whole numbers and choices become what Optuna draws from."""
    optuna = pytest.importorskip("optuna")
    space = {
        "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "model.dropout": {"low": 0.0, "high": 0.5},
        "adapt.rank": {"low": 1, "high": 16},
        "adapt.kind": {"choices": ["head", "lora"]},
        "task.label_smoothing": None,
    }
    rate, dropout, rank, kind = read_space(space)
    distributions = optuna.distributions
    assert rate.to_distribution() == distributions.FloatDistribution(1e-4, 1e-2, log=True)
    assert dropout.to_distribution() == distributions.FloatDistribution(0.0, 0.5)
    assert rank.to_distribution() == distributions.IntDistribution(1, 16)
    assert kind.to_distribution() == distributions.CategoricalDistribution(("head", "lora"))
    assert kind.corners == ("head", "lora")
    assert rank.corners == (1, 16)


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("trainer.learning_rat", {"low": 0.1, "high": 1}, "did you mean 'trainer.learning_rate'"),
        ("data.root", {"choices": ["a"]}, "must be the same in all trials"),
        ("data.split", {"choices": ["a"]}, "must be the same in all trials"),
        ("trainer.num_workers", {"low": 0, "high": 1}, "must be the same in all trials"),
        ("seed", {"low": 0, "high": 9}, "unknown setting 'seed'"),
        ("model.dropout", 0.3, "is not a range"),
        ("model.dropout", {"min": 0, "max": 1}, "is not a range"),
        ("model.dropout", {"low": 0.5, "high": 0.5}, "low must be below high"),
        ("model.dropout", {"low": 0.0, "high": 0.5, "log": True}, "low must be above 0"),
        ("model.dropout", {"low": True, "high": 2}, "must be finite numbers"),
        ("model.dropout", {"low": 0.1, "high": float("inf")}, "must be finite numbers"),
        ("adapt.kind", {"choices": []}, "choices must be a list"),
        ("adapt.kind", {"choices": ["head", "head"]}, "choices must be a list"),
        ("adapt.kind", {"choices": ["head"], "log": True}, "choices must be a list"),
    ],
)
def test_wrong_space_is_refused(key, content, said):
    """Each kind of mistake is answered with what would work."""
    with pytest.raises(ConfigError, match=r"sweep\.space") as error:
        read_space({key: content})
    assert said in str(error.value)


def test_every_fault_is_listed():
    """Two mistakes are told at once."""
    with pytest.raises(ConfigError, match=r"adapt\.rankk.*model\.dropout"):
        read_space({"adapt.rankk": {"low": 1, "high": 2}, "model.dropout": 3})


def test_empty_space_is_refused():
    """A sweep without anything to try, also because everything was taken out, says how to name something."""
    with pytest.raises(ConfigError, match=r"sweep\.space is empty"):
        read_space({"model.dropout": None})


@pytest.mark.parametrize(
    ("value", "word"), [(None, "a.b=null"), (True, "a.b=true"), (0, "a.b=0"), (1e-05, "a.b=1e-05"), ("x", "a.b=x")]
)
def test_word_of_a_value(value, word):
    """Values become words that mean the same."""
    assert word_setting("a.b", value) == word


def test_everything_tried_is_a_setting():
    """What the error suggests exists, and nothing that belongs to the data or the computer is among it."""
    tried = list_tried()
    assert {"trainer.learning_rate", "adapt.kind", "data.augment", "model"} <= set(tried)
    assert not {"data.root", "trainer.devices", "trainer.threads", "paths.runs_dir"} & set(tried)
