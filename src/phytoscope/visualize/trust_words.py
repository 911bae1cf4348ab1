"""What the page says about belief: shares as counts of a hundred, promises kept or broken, what happens in doubt."""

from typing import Final

from phytoscope.schema.choices import IntervalKind
from phytoscope.schema.metric import MetricValue, count_hundred
from phytoscope.schema.trust_report import CalibrationReport, CoverageRow, IntervalReport, SetReport, VerdictReport
from phytoscope.schema.verdict import Reason, Verdict
from phytoscope.visualize.text import format_number, format_quantity

VERDICT_WORDS: Final = {
    Verdict.accept: ("accepted", "act on it"),
    Verdict.review: ("for review", "a person should look at it"),
    Verdict.reject: ("rejected", "this picture cannot be answered, take another one"),
}
"""Verdict -> what it is called on the page, and what it asks for."""
_UNEVEN = 0.01


def word_hundred(share: float) -> str:
    """A share 0-1 as `92 of 100`."""
    return f"{count_hundred(share)} of 100"


def word_range(low: float | None, high: float | None) -> str:
    """Both ends of the interval of a share, as `between 88 and 95`; empty where they are not known."""
    if low is None or high is None:
        return ""
    return f"between {count_hundred(low)} and {count_hundred(high)}"


def word_quantity_range(metric: MetricValue) -> str:
    """Both ends of the interval of a quantity with its unit; empty where they are not known."""
    if metric.low is None or metric.high is None:
        return ""
    return f"between {format_number(metric.low)} and {format_quantity(metric.high, metric.unit)}"


def in_brackets(text: str) -> str:
    """The text in brackets after a space; nothing stays nothing."""
    return f" ({text})" if text else ""


def word_calibration(calibration: CalibrationReport) -> str:
    """Whether the probabilities mean what they say, before and after they were calibrated."""
    before, after = calibration.before.get("ece"), calibration.after.get("ece")
    if calibration.kind == "none" or before is None or after is None:
        return "The probabilities are the network's own; they were not calibrated."
    points = f"{100 * before:.1f} points before calibration and {100 * after:.1f} points after it"
    text = f"The probabilities were off by {points}, on average."
    if calibration.temperature is None:
        return text
    side = "too sure of itself" if calibration.temperature > 1.0 else "not sure enough of itself"
    if abs(calibration.temperature - 1.0) <= _UNEVEN:
        return text
    return f"{text} By itself the network was {side} (temperature {format_number(calibration.temperature)})."


def word_coverage(entry: SetReport | IntervalReport) -> list[str]:
    """What sets or intervals promised, and whether they kept it, in sentences."""
    noun = "sets" if isinstance(entry, SetReport) else "intervals"
    promise = (
        f"The {noun} promise to hold the truth for {word_hundred(entry.promised)} photographs of new leaves or plants."
    )
    sentences = [promise]
    if entry.promised < entry.wanted - 1e-9:
        sentences.append(
            f"Wanted were {count_hundred(entry.wanted)}: the calibration photographs show too few leaves or plants "
            "to promise more."
        )
    overall = find_overall(entry)
    if overall is None:
        return sentences
    held = f"Here they held it for {word_hundred(overall.coverage)}"
    sentences.append(f"{held}{in_brackets(word_range(overall.low, overall.high))}. {_word_promise(overall, entry)}")
    if isinstance(entry, SetReport):
        single = entry.sizes.get(1, 0) / max(1, sum(entry.sizes.values()))
        sentences.append(
            f"A set names {format_number(overall.size, 2)} classes on average; "
            f"{word_hundred(single)} sets name a single class."
        )
    else:
        sentences.append(_word_width(entry, overall))
    return sentences


def find_overall(entry: SetReport | IntervalReport) -> CoverageRow | None:
    """The row over all images; None where it was not measured."""
    return next((row for row in entry.rows if row.what == "all"), None)


def _word_promise(row: CoverageRow, entry: SetReport | IntervalReport) -> str:
    top = row.coverage if row.high is None else row.high
    if top >= entry.promised - 1e-9:
        return (
            "The promise was kept." if row.coverage >= entry.promised - 1e-9 else "That is within what chance allows."
        )
    return "That is less than promised: do not rely on it here."


def _word_width(entry: IntervalReport, overall: CoverageRow) -> str:
    text = f"An interval is {format_quantity(overall.size, entry.unit)} wide on average"
    if entry.kind == IntervalKind.constant:
        return f"{text}; all are made equally wide."
    if entry.constant_width is None or entry.constant_width <= 0:
        return text + "."
    constant = format_quantity(entry.constant_width, entry.unit)
    return f"{text}; of one width for all, {constant} would have been enough to hold as many of these photographs."


def word_verdicts(verdicts: VerdictReport, *, unit: str, is_share: bool) -> list[str]:
    """What happens to a hundred photographs, and what that is worth, in sentences.

    Args:
        verdicts: The numbers; no sentence is made of what they lack.
        unit: Unit of the target; empty for classes.
        is_share: Whether the errors are shares of wrong answers, else they are mean absolute errors.
    """
    shares = verdicts.shares
    if not shares:
        return []
    accepted, reviewed, rejected = (count_hundred(shares.get(verdict.value, 0.0)) for verdict in Verdict)
    opening = f"Of 100 photographs like these it accepts {accepted}, asks a person to look at {reviewed}"
    sentences = [f"{opening} and rejects {rejected}."]
    among = verdicts.errors.get(Verdict.accept.value)
    if among is not None:
        sentences.append(_word_accepted(verdicts, among, unit=unit, is_share=is_share))
    overall = verdicts.errors.get("all")
    if overall is not None and among is not None:
        size = word_hundred(overall) + " would be wrong" if is_share else _off(overall, unit)
        sentences.append(f"If it had to answer every photograph, {size}.")
    return sentences


def _word_accepted(verdicts: VerdictReport, among: float, *, unit: str, is_share: bool) -> str:
    low, high = verdicts.accepted_low, verdicts.accepted_high
    if not is_share:
        span = "" if low is None or high is None else f"between {format_number(low)} and {format_quantity(high, unit)}"
        return f"Accepted answers are off by {format_quantity(among, unit)} on average{in_brackets(span)}."
    tolerance = verdicts.tolerance
    wrong = "wrong" if tolerance is None else f"wrong by more than {format_quantity(tolerance, unit)}"
    text = f"Of the accepted answers {word_hundred(among)} are {wrong}{in_brackets(word_range(low, high))}"
    if verdicts.wanted_error is None:
        return text + "."
    wanted = count_hundred(verdicts.wanted_error)
    if among <= verdicts.wanted_error + 1e-9:
        return f"{text}; at most {wanted} were wanted."
    if low is not None and low <= verdicts.wanted_error:
        return f"{text}; at most {wanted} were wanted, and chance alone could explain the difference."
    return f"{text}; at most {wanted} were wanted, so this is more than it should be."


def _off(value: float, unit: str) -> str:
    return f"it would be off by {format_quantity(value, unit)} on average"


def word_answerable(verdicts: VerdictReport) -> list[str]:
    """How many photographs could be answered at several error rates, in sentences."""
    rates = sorted((float(rate), share) for rate, share in verdicts.answered_at.items())
    return [
        f"with at most {count_hundred(rate)} wrong of 100 answered, "
        f"{word_hundred(share) + ' photographs' if share > 0 else 'no photograph'} can be answered"
        for rate, share in rates
    ]


REASON_TITLES: Final = {
    Reason.no_plant: "No plant to be seen",
    Reason.unlike_training: "Unlike all training photographs",
    Reason.too_dark: "Too dark",
    Reason.too_bright: "Too bright",
    Reason.too_small: "Too few pixels",
    Reason.blurred: "Blurred",
    Reason.somewhat_unlike: "Rather unlike the training photographs",
    Reason.unsure: "Not sure enough",
    Reason.wide_interval: "The number could be far off",
}
