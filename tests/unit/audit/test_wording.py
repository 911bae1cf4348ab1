"""Numbers in sentences: short, with a true minus sign, and never more exact than they are."""

import pytest

from phytoscope.audit.wording import spell_interval, spell_percent, spell_r2, title_with


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.493, "49 %"),
        (0.04, "4.0 %"),
        (1.0, "100 %"),
        (-0.081, "\u22128.1 %"),
        (-1.41, "\u2212141 %"),
        (-1e-9, "0.0 %"),
    ],
)
def test_percent(share, words) -> None:
    """One decimal below ten per cent, none above; zero has no sign."""
    assert spell_percent(share) == words


@pytest.mark.parametrize(
    ("ends", "words"),
    [((0.2, 0.48), "20 % to 48 %"), ((-1.4, 0.38), "below 0 % to 38 %"), ((-1.4, -0.2), "below 0 %")],
)
def test_interval(ends, words) -> None:
    """How far an end lies below zero is not told."""
    assert spell_interval(*ends) == f"95 % interval {words}"


@pytest.mark.parametrize(("value", "words"), [(0.456, "0.46"), (-0.031, "\u22120.03"), (-0.001, "0.00")])
def test_r2(value, words) -> None:
    """Two decimals; zero has no sign."""
    assert spell_r2(value) == words


def test_title_names_what_fits() -> None:
    """A title stays below 110 characters however many names there are, and however long they are."""
    assert title_with("2 columns hold one value", ["a", "b"]) == "2 columns hold one value: a, b"
    assert title_with("Many", ["name" * 10] * 9).endswith("and 7 more")
    assert title_with("One", ["name" * 50]) == "One"
    assert title_with("None", []) == "None"
