"""Sums that answers keep."""

import numpy as np
import pytest

from phytoscope.errors import ConfigError
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.sums import Sums, read_sums
from phytoscope.models.target import TargetScale
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig

NAMES = ("total", "shoot", "root")
FREE = (None, None, None)


def read(*texts, names=NAMES, variances=(1.0, 1.0, 1.0), **settings) -> Sums:
    found = read_sums(TaskConfig(sums=list(texts), **settings), names, variances)
    assert found is not None
    return found


def test_no_rule_is_no_sum() -> None:
    """Without rules there is nothing to keep."""
    assert read_sums(TaskConfig(), NAMES, (1.0, 1.0, 1.0)) is None


@pytest.mark.parametrize("variances", [(1.0, 1.0, 1.0), (9.0, 1.0, 0.0), (1e-20, 1e12, 1.0), (0.0, 0.0, 0.0)])
def test_sum_holds_exactly(variances) -> None:
    """In floating point the whole equals its parts added up, however certain each answer is."""
    values = np.random.default_rng(0).normal(size=(200, 3)) * [100, 10, 1e-3]
    kept = read("total = shoot + root", variances=variances).keep(values, FREE)
    assert (kept[:, 0] == kept[:, 1] + kept[:, 2]).all()
    assert np.isfinite(kept).all()


def test_reconciliation_is_weighted_least_squares() -> None:
    """The change is spread in proportion to the variances."""
    kept = read("total = shoot + root", variances=(1.0, 2.0, 3.0)).keep(np.array([[10.0, 2.0, 2.0]]), FREE)
    np.testing.assert_allclose(kept, [[10 - 1.0, 2 + 2.0, 2 + 3.0]])


def test_answers_that_agree_are_not_changed() -> None:
    """Nothing is to be done where the sum holds."""
    values = np.array([[3.0, 1.0, 2.0]])
    np.testing.assert_allclose(read("total = shoot + root").keep(values, FREE), values, rtol=1e-12)


def test_parts_are_not_negative() -> None:
    """A part below what is possible is raised, and the whole is added up again."""
    kept = read("total = shoot + root").keep(np.array([[0.1, -0.5, 0.3], [1.0, 0.5, 0.5]]), (0.0, 0.0, 0.0))
    assert (kept >= 0).all()
    assert (kept[:, 0] == kept[:, 1] + kept[:, 2]).all()


def test_sums_of_sums() -> None:
    """A part may be a sum itself, whatever the order of the rules."""
    names = ("total", "shoot", "root", "leaf", "stem")
    sums = read("total = shoot + root", "shoot = leaf + stem", names=names, variances=(1.0,) * 5)
    kept = sums.keep(np.random.default_rng(1).normal(size=(50, 5)), (0.0,) * 5)
    assert (kept[:, 1] == kept[:, 3] + kept[:, 4]).all()
    assert (kept[:, 0] == kept[:, 1] + kept[:, 2]).all()
    assert (kept >= 0).all()


def test_accuracy_does_not_suffer() -> None:
    """With noise of different size on each answer, errors shrink for every target on average."""
    rng = np.random.default_rng(2)
    parts = rng.gamma(2, 1, (4000, 2))
    truth = np.column_stack([parts.sum(axis=1), parts])
    spread = np.array([0.5, 0.2, 0.8])
    noisy = truth + rng.normal(size=truth.shape) * spread
    kept = read("total = shoot + root", variances=tuple(spread**2)).keep(noisy, (0.0, 0.0, 0.0))
    before, after = ((noisy - truth) ** 2).mean(axis=0), ((kept - truth) ** 2).mean(axis=0)
    assert (after < before).all()
    assert after.sum() < 0.7 * before.sum()


@pytest.mark.parametrize("text", ["total=shoot+root", "TOTAL == `shoot` + root", " total  =  root + shoot "])
def test_spellings(text) -> None:
    """Spaces, backquotes, case and a double equals sign do not matter."""
    assert set(read(text).rules[0].parts) == {1, 2}


def test_name_with_a_plus_sign() -> None:
    """Between backquotes a plus sign belongs to the name."""
    assert read("total = `a+b` + root", names=("total", "a+b", "root")).rules[0].parts == (1, 2)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("total = shot + root", "'shot' is neither data.target nor one of data.more_targets; did you mean 'shoot'"),
        ("total = shoot - root", "only '\\+' may join names"),
        ("total = 2 * shoot + root", "is no name of a column"),
        ("total + shoot", "exactly one '='"),
        ("total = shoot = root", "exactly one '='"),
        ("total = shoot", "two or more different columns"),
        ("total = shoot + shoot", "two or more different columns"),
        ("total = total + root", "go round in a circle"),
        ("", "exactly one '='"),
    ],
)
def test_rules_that_cannot_be_kept(text, match) -> None:
    """The text says which rule, why and how to write it."""
    with pytest.raises(ConfigError, match=match):
        read(text)


def test_rules_that_contradict_each_other() -> None:
    """One whole in two rules and rings of rules are refused."""
    with pytest.raises(ConfigError, match="'total' is the sum in two rules"):
        read("total = shoot + root", "total = root + shoot")
    with pytest.raises(ConfigError, match="go round in a circle"):
        read("total = shoot + root", "shoot = total + root")


def test_quantiles_do_not_add_up() -> None:
    """With the quantile loss a sum would be wrong, so it is refused."""
    with pytest.raises(ConfigError, match="quantiles of parts do not add up"):
        read("total = shoot + root", loss=RegressionLoss.quantile)


def test_meaning_keeps_sums_after_being_written() -> None:
    """Answers keep the sum, and those of a meaning that was written and read are the same."""
    scales = [TargetScale(TargetTransform.none, 1.0, mean, 2.0, 0.0) for mean in (5.0, 3.0, 1.0)]
    targets = tuple(TargetMeaning(name, "g", scale) for name, scale in zip(NAMES, scales, strict=True))
    meaning = Meaning(targets=targets, sums=read("total = shoot + root", variances=(1.0, 2.0, 4.0)))
    outputs = np.random.default_rng(3).normal(size=(20, 3))
    answers = meaning.answer(outputs)
    assert (answers[:, 0] == answers[:, 1] + answers[:, 2]).all()
    np.testing.assert_array_equal(Meaning.from_dict(meaning.to_dict()).answer(outputs), answers)
