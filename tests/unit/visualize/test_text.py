"""Names and numbers read well and are safe wherever they are put."""

import pytest

from phytoscope.visualize.text import (
    clean_text,
    figure_text,
    format_count,
    format_number,
    format_percent,
    format_quantity,
    name_quantity,
    prettify_class,
    prettify_classes,
    shorten_middle,
    wrap_figure_text,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tomato___Spider_mites Two-spotted_spider_mite", "Tomato: spider mites Two-spotted spider mite"),
        ("Corn_(maize)___Common_rust_", "Corn (maize): common rust"),
        ("Pepper,_bell___healthy", "Pepper, bell: healthy"),
        ("Peach___X_disease", "Peach: X disease"),
        ("healthy", "healthy"),
        ("Ñandú___Mildiú", "Ñandú: mildiú"),
        ("___", "___"),
    ],
)
def test_folder_names_become_words(name, expected):
    """PlantVillage's names and others turn into something to read."""
    assert prettify_class(name) == expected


def test_different_classes_never_share_their_words():
    """Two folders that differ only in underscores keep their own names."""
    names = ["leaf_rust", "leaf rust", "scab"]
    assert prettify_classes(names) == {"leaf_rust": "leaf_rust", "leaf rust": "leaf rust", "scab": "scab"}


def test_text_that_cannot_be_encoded_is_made_encodable():
    """A file name that is not UTF-8 and control characters do not stop the page from being written."""
    shown = clean_text(b"bl\xe4tter\n\x00.jpg".decode("utf-8", "surrogateescape"))
    assert shown.encode("utf-8").decode("utf-8") == "bl\ufffdtter  .jpg"


def test_lone_surrogates_are_replaced():
    """Half a character from a damaged table is no reason to fail."""
    assert clean_text("a\ud800b") == "a\ufffdb"


def test_dollar_signs_are_no_formula():
    """Each dollar sign in a figure is escaped, and long names end in an ellipsis."""
    assert figure_text("$x_1$") == r"\$x_1\$"
    assert figure_text("a" * 60, 10) == "a" * 9 + "\u2026"
    assert wrap_figure_text("image missing", 10, 2) == "image\nmissing"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "\u2013"),
        (float("nan"), "\u2013"),
        (0.0, "0"),
        (0.123456, "0.123"),
        (-0.00123456, "\u22120.00123"),
        (12345.678, "12,346"),
        (99.96, "100"),
        (1e-9, "1.00e\u22129"),
        (1.0, "1.00"),
    ],
)
def test_numbers_have_three_significant_digits(value, expected):
    """No digit too many, no exponent where avoidable."""
    expected_start = expected.replace("e\u22129", "e\u221209")
    assert format_number(value) in (expected, expected_start, expected + ".0")


def test_units_stay_with_their_numbers():
    """A no-break space keeps them on one line; without a value there is no unit."""
    assert format_quantity(1.5, "g") == "1.50\u00a0g"
    assert format_quantity(1.5, "") == "1.50"
    assert format_quantity(None, "g") == "\u2013"
    assert format_percent(0.0) == "0.0\u00a0%"
    assert format_percent(None) == "\u2013"


@pytest.mark.parametrize(("count", "expected"), [(1, "1 leaf"), (0, "0 leaves"), (1200, "1,200 leaves")])
def test_counts_agree_with_their_nouns(count, expected):
    """One is singular, all others are plural."""
    assert format_count(count, "leaf", "leaves") == expected


@pytest.mark.parametrize("width", [2, 9, 10, 30])
def test_long_names_are_shortened_in_the_middle(width):
    """Start and end stay, the result is never wider than asked for."""
    name = "Tomato/0123456789.jpg"
    short = shorten_middle(name, width)
    assert len(short) == min(width, len(name))
    assert short[0] == "T"
    assert short.endswith(name[-1] if width > 2 else "\u2026")


def test_unit_stands_once_on_an_axis():
    """A column whose name ends with its unit is not given it a second time."""
    assert name_quantity("Frischgewicht (g)", "g") == "Frischgewicht (g)"
    assert name_quantity("fresh_weight", "g").endswith("weight (g)")
    assert name_quantity("leaves", "") == "leaves"
