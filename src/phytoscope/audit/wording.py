"""How findings are put into words."""

_NAMED = 6
_LONGEST_TITLE = 110


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


def spell_percent(share: float) -> str:
    """A share as the verdicts show it: one decimal below 10 %, none above, a true minus sign."""
    # Adding 0 turns a negative zero into a plain one.
    text = f"{round(100 * share, 1) + 0.0:.1f}" if abs(share) < 0.1 else f"{100 * share:.0f}"
    return text.replace("-", "\u2212") + " %"


def spell_interval(low: float, high: float) -> str:
    """A 95 % interval of shares; what lies below zero explains nothing, and how far below says nothing either."""
    if high < 0:
        return "95 % interval below 0 %"
    return f"95 % interval {spell_percent(low) if low >= 0 else 'below 0 %'} to {spell_percent(high)}"


def spell_r2(value: float) -> str:
    """A coefficient of determination with two decimals and a true minus sign."""
    # Adding 0 turns a negative zero into a plain one.
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def is_short(title: str) -> bool:
    """Whether a title fits into one short line."""
    return len(title) <= _LONGEST_TITLE


def title_with(opening: str, names: list[str]) -> str:
    """A title that names as many of `names` as fit in one short line, and says how many more there are.

    Args:
        opening: What the names are, without a colon.
        names: The worst first.
    """
    shown = len(names)
    while shown > 1 and not is_short(f"{opening}: {spell_names(names, shown)}"):
        shown -= 1
    title = f"{opening}: {spell_names(names, shown)}"
    return title if shown > 0 and is_short(title) else opening
