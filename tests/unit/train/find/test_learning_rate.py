"""The range test finds where the loss falls, and leaves everything as it was."""

import copy

import numpy as np
import pytest
import torch

from factories.jobs import make_job
from phytoscope.errors import TrainingError
from phytoscope.train.find.learning_rate import suggest_rate, try_learning_rates


def test_suggestion_is_the_steepest_fall():
    """On a curve that falls around one rate and rises later, that rate is suggested."""
    rates = np.geomspace(1e-6, 1.0, 100)
    log = np.log10(rates)
    losses = 1.0 - 0.6 / (1 + np.exp(-6 * (log + 3))) + np.where(log > -1, 3 * (log + 1) ** 2, 0.0)
    assert suggest_rate(rates, losses) == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize("losses", [np.linspace(1, 2, 50), np.ones(50), np.array([1.0, 0.5, 2.0])])
def test_no_suggestion_where_nothing_falls(losses):
    """A loss that rises, stays, or ends after a few steps says nothing."""
    assert suggest_rate(np.geomspace(1e-6, 1, len(losses)), losses) is None


def test_job_stays_as_it_is(tmp_path):
    """Neither weights nor random numbers nor files change; the rates rise and the loss explodes at the end."""
    job, _ = make_job(tmp_path)
    before = copy.deepcopy(job.network.state_dict())
    state = torch.get_rng_state()
    found = try_learning_rates(job, low=1e-4, high=1e3, steps=40)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in job.network.state_dict().items())
    assert not list(tmp_path.iterdir())
    assert (np.diff(found.rates) > 0).all()
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 40
    assert np.isfinite(found.losses).all()


def test_same_seed_gives_the_same_curve(tmp_path):
    """Two tests of one job are equal."""
    job, _ = make_job(tmp_path)
    first, second = (try_learning_rates(job, low=1e-4, high=0.1, steps=12) for _ in range(2))
    np.testing.assert_allclose(first.losses, second.losses, rtol=1e-5)


def test_loss_that_is_never_finite_is_said(tmp_path):
    """Broken weights are named instead of an empty curve."""
    job, _ = make_job(tmp_path)
    torch.nn.init.constant_(job.network.head.weight, float("nan"))
    with pytest.raises(TrainingError, match="not finite at a learning rate"):
        try_learning_rates(job, steps=20)
