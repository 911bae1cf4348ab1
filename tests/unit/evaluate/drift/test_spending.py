"""What each look may spend of the promised false alarms."""

import pytest

from phytoscope.evaluate.drift.spending import EXPONENT, find_alpha, share_of_look
from phytoscope.schema.drift import LookSummary


def remember(*alphas):
    return [LookSummary(place, "", 30, 6, alpha, False) for place, alpha in enumerate(alphas, start=1)]


def test_all_looks_ever_spend_no_more_than_promised():
    """The shares of a hundred thousand looks and what an integral leaves for all later ones sum to 1."""
    n = 100_000
    first = sum(share_of_look(place) for place in range(1, n + 1))
    rest = share_of_look(1) * n ** (1 - EXPONENT) / (EXPONENT - 1)
    assert first < 1
    assert first + rest == pytest.approx(1.0, abs=1e-6)


def test_looks_that_spent_nothing_do_not_use_up_a_place():
    """A look that could not find anything leaves its share to the next one."""
    assert find_alpha(0.05, remember(0.0, 0.0)) == find_alpha(0.05, []) == pytest.approx(0.05 * share_of_look(1))
    assert find_alpha(0.05, remember(0.01)) == pytest.approx(0.05 * share_of_look(2))


@pytest.mark.parametrize(("spent", "left"), [((0.0495,), 0.0005), ((0.05,), 0.0), ((0.3,), 0.0)])
def test_promise_holds_when_it_is_lowered_later(spent, left):
    """What was spent under a larger promise counts against the smaller one; nothing below 0 is given."""
    assert find_alpha(0.05, remember(*spent)) == pytest.approx(left)
