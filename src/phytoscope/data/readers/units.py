"""Reads units in the names of columns, such as `fresh weight (g)` and `leaf_area_cm2`."""

import re
import unicodedata

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


def fold_name(name: str) -> str:
    """The name of a column without unit, case, spaces, underscores, points and hyphens."""
    return re.sub(r"[\s_\-.]+", "", split_unit(name)[0]).casefold()


def is_amount(name: str, unit: str) -> bool:
    """Whether a quantity cannot be negative: a mass, a length, an area, a volume, a number of pixels or of things.

    Args:
        name: Name of its column.
        unit: Its unit; may be empty.
    """
    known = UNITS.get(unit.strip().lower(), "")
    words = re.split(r"[\W_\d]+", name.casefold())
    return known in {
        "g",
        "kg",
        "mg",
        "µg",
        "px",
        "mm",
        "cm",
        "mm2",
        "cm2",
        "m2",
        "dm2",
        "mm3",
        "cm3",
        "ml",
        "l",
    } or any(amount in words or any(word.endswith(amount) for word in words) for amount in _AMOUNTS)
