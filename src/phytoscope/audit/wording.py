"""How findings are put into words."""

_NAMED = 6


def plural(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun: `1 image`, `3,500 images`.

    Args:
        count: How many.
        one: The noun for one.
        several: The noun for several; `one` with an s when None.
    """
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def spell_names(names: list[str], limit: int = _NAMED) -> str:
    """Names with commas between, the first ones and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def spell_share(share: float) -> str:
    """A share of 0-1 in per cent; one that is small but not nothing is said to be below 0.1 %."""
    return "below 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def sentence(text: str) -> str:
    """The text with a capital at its start and a full stop at its end; empty stays empty."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
