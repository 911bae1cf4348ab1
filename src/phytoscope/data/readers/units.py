"""Reads units in the names of columns, such as `fresh weight (g)` and `leaf_area_cm2`."""

import re
import unicodedata

from phytoscope.errors import ConfigError

_MASSES = {"g": "g", "gram": "g", "grams": "g", "gramm": "g", "gr": "g", "kg": "kg", "mg": "mg", "µg": "µg", "ug": "µg"}
_OTHERS = {
    **dict.fromkeys(("px", "pixel", "pixels"), "px"),
    **{unit: unit for unit in ("mm", "cm", "m", "ml", "l", "t", "h", "s")},
    **{f"{unit}{two}": f"{unit}2" for unit in ("mm", "cm", "m", "dm") for two in ("2", "^2", "²", "**2")},
    **{f"{unit}{three}": f"{unit}3" for unit in ("mm", "cm", "m", "dm") for three in ("3", "^3", "³")},
    **dict.fromkeys(("d", "day", "days", "tage"), "days"),
    **dict.fromkeys(("°c", "degc"), "°C"),
    "%": "%",
}
UNITS = {**_MASSES, **_OTHERS}
"""Spelling of a unit, lower case -> the unit."""
_BRACKETS = re.compile(r"^(?P<name>.*?)\s*[\(\[\{]\s*(?:in\s+)?(?P<unit>[^\)\]\}]+?)\s*[\)\]\}]\s*$")
_WORDS = re.compile(r"^(?P<name>.+?)(?:\s+in\s+|\s*/\s*|_in_)(?P<unit>[^\s/]+)$", re.IGNORECASE)
# One letter after an underscore is a unit only where it can hardly be anything else.
_SUFFIX = re.compile(
    r"^(?P<name>.+?)[_ ](?P<unit>g|kg|mg|ug|µg|px|mm|cm|mm2|cm2|m2|dm2|mm3|cm3|ml|days)$", re.IGNORECASE
)
_AMOUNTS = (
    "weight",
    "mass",
    "gewicht",
    "masse",
    "area",
    "fläche",
    "flaeche",
    "height",
    "höhe",
    "length",
    "länge",
    "count",
)

_MASSES_AND_SIZES = frozenset({*_MASSES.values(), "px", "mm", "cm", "mm2", "cm2", "m2", "dm2", "mm3", "cm3", "ml", "l"})
# What is made of amounts by subtraction, logarithm or standardising may be negative.
_SIGNED_WORDS = frozenset({"ln", "lg", "z", "rate", "rgr", "agr", "dev", "sd", "bias", "norm", "pc", "blup", "std"})
_SIGNED_BEGINNINGS = (
    *(
        "log",
        "chang",
        "delta",
        "diff",
        "loss",
        "lost",
        "gain",
        "growth",
        "increas",
        "increment",
        "decreas",
        "decrement",
    ),
    *(
        "declin",
        "reduc",
        "deviat",
        "resid",
        "error",
        "anomal",
        "offset",
        "shift",
        "scor",
        "zscor",
        "normali",
        "standardi",
    ),
    *("scaled", "centred", "centered", "effect", "contrast", "slope", "trend", "coef", "transform", "boxcox", "pca"),
    *("\N{GREEK SMALL LETTER DELTA}", "differenz", "abweichung", "veränderung", "veraenderung"),
)
_SIGNED_ENDINGS = ("änderung", "aenderung", "differenz", "zunahme", "abnahme", "verlust", "zuwachs", "abweichung")


def split_unit(name: str) -> tuple[str, str]:
    """Parts the name of a column from the unit in it.

    Args:
        name: For example `fresh weight (g)`, `fresh_weight [kg]`, `fresh weight in g` or `weight_g`.

    Returns:
        The name without the unit, and the unit in its usual spelling; empty when there is none that is known.
    """
    text = unicodedata.normalize("NFC", name).replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}").strip()
    for pattern in (_BRACKETS, _WORDS, _SUFFIX):
        match = pattern.match(text)
        if match and match["name"].strip() and match["unit"].lower() in UNITS:
            return match["name"].strip(), UNITS[match["unit"].lower()]
    return text, ""


def same_unit(first: str, second: str) -> bool:
    """Whether two spellings mean the same unit; units that are not known are compared as texts."""
    one, two = (UNITS.get(unit.strip().lower(), unit.strip().lower()) for unit in (first, second))
    return one == two


def check_unit(column: str, given: str, key: str) -> str:
    """Makes sure that the unit in the settings is the one in the column's name, where that has one.

    Args:
        column: Name of the column.
        given: Unit in the settings; may be empty.
        key: The setting it was written for, for the error.

    Returns:
        The unit in the column's name; empty when there is none.

    Raises:
        ConfigError: They differ.
    """
    unit = split_unit(column)[1]
    if unit and given.strip() and not same_unit(unit, given):
        message = (
            f"{key}={given!r}, but the column {column!r} says {unit!r}: give {unit!r}, or correct the name of the "
            "column; every number would be read in the wrong unit otherwise."
        )
        raise ConfigError(message)
    return unit


def fold_name(name: str) -> str:
    """The name of a column without unit, case, spaces, underscores, points and hyphens."""
    return re.sub(r"[\s_\-.]+", "", split_unit(name)[0]).casefold()


def is_amount(name: str, unit: str) -> bool:
    """Whether a quantity cannot be negative: a mass, a length, an area, a volume, a number of pixels or of things.

    What is made of such quantities can be: logarithms, changes, differences, rates, standardised and residual values.

    Args:
        name: Name of its column.
        unit: Its unit; may be empty.
    """
    words = _split_words(name)
    if any(
        word in _SIGNED_WORDS or word.startswith(_SIGNED_BEGINNINGS) or word.endswith(_SIGNED_ENDINGS) for word in words
    ):
        return False
    known = UNITS.get(unit.strip().lower(), "")
    return known in _MASSES_AND_SIZES or any(word.endswith(_AMOUNTS) for word in words)


def _split_words(name: str) -> list[str]:
    # `deltaHeight` is two words, and the digits of `log10` do not matter.
    parted = re.sub(
        r"(?<=[^\W\d_])(?<![A-ZÄÖÜ])(?=[A-ZÄÖÜ])",
        " ",
        unicodedata.normalize("NFC", name).replace("\N{INCREMENT}", " delta "),
    )
    return [word for word in re.split(r"[\W_\d]+", parted.casefold()) if word]
