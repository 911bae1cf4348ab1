"""What a watch over new photographs says in words."""

from typing import Final

from phytoscope.schema.drift import DriftFinding, DriftKind, DriftReport, LookWindow, TruthReport, TruthWindow
from phytoscope.schema.table import PHOTO_PREFIX
from phytoscope.visualize.text import format_count, format_number, format_percent, format_quantity

_TITLES: Final = {
    DriftKind.features: "What the model sees",
    DriftKind.photo: "The photograph itself",
    DriftKind.prediction: "The answers",
    DriftKind.novelty: "Novelty",
    DriftKind.verdict: "Verdicts",
    DriftKind.confidence: "How sure the answers are",
    DriftKind.error: "Errors",
}
_MEANINGS: Final = {
    DriftKind.features: "All that the network makes out in a photograph, taken together.",
    DriftKind.prediction: "The mix of the classes that it names, or the numbers that it gives.",
    DriftKind.novelty: "How unlike the training photographs they are.",
    DriftKind.verdict: "Shares that are accepted, go to a person, or are rejected.",
    DriftKind.confidence: "Probability of the named class, or width of the interval.",
    DriftKind.error: "How wrong the answers are where the truth is known.",
}
MEASURES: Final = {
    "brightness": ("Brightness", "The middle grey of the photograph, 0 to 255."),
    "highlights": ("Burnt-out share", "Share of the photograph that is burnt out to white."),
    "sharpness": ("Sharpness", "Detail at the size that the network sees."),
    "side_px": ("Size in pixels", "The shorter side of the original photograph."),
    "plant": ("Share of plant", "Share of the photograph that shows plant."),
}
"""Measure of a photograph -> title and meaning."""
_SEEN: Final = 0.02
_CAUSES: Final = {
    DriftKind.photo: "camera, light or distance",
    DriftKind.prediction: "other plants or another season, or the model answers differently",
    DriftKind.novelty: "something that the model has never learned",
    DriftKind.verdict: "something that the model has never learned",
    DriftKind.features: "another camera, place, variety or season",
    DriftKind.confidence: "photographs that are harder than before",
}

# The photograph itself is the plainest cause; what the network sees follows every other change.
_ORDER: Final = (
    DriftKind.photo,
    DriftKind.prediction,
    DriftKind.novelty,
    DriftKind.verdict,
    DriftKind.features,
    DriftKind.confidence,
    DriftKind.error,
)


def title_finding(finding: DriftFinding) -> str:
    """What was compared, as people say it."""
    measure = finding.name.removeprefix(PHOTO_PREFIX)
    if finding.kind is DriftKind.photo and measure in MEASURES:
        return MEASURES[measure][0]
    return _TITLES[finding.kind] if finding.kind is not DriftKind.photo else measure.replace("_", " ").capitalize()


def explain_finding(finding: DriftFinding) -> str:
    """What that means."""
    measure = finding.name.removeprefix(PHOTO_PREFIX)
    if finding.kind is DriftKind.photo:
        return MEASURES[measure][1] if measure in MEASURES else ""
    return _MEANINGS[finding.kind]


def title_window(window: LookWindow) -> str:
    """Which photographs a finding is about."""
    return "this look" if window is LookWindow.batch else "the last looks together"


def word_look(report: DriftReport, *, has_truth: bool = False) -> str:
    """The answer of one look in a sentence or two.

    Args:
        report: The look.
        has_truth: Whether errors are known, so that nobody need be told to find them.
    """
    basis = f"{count_images(report.n, report.n_groups, 'new photograph')}, look {report.look}"
    if not report.fired:
        return f"No change found ({basis}): the differences are no larger than chance explains."
    advice = word_cause(report) + ("" if has_truth else _ADVICE)
    return f"The new photographs have changed ({basis}): {word_effects(report)}. {advice}".rstrip()


def count_images(n: int, n_groups: int, noun: str = "photograph") -> str:
    """A number of photographs, and of how many plants or leaves they are where that is known."""
    text = format_count(n, noun)
    return text if n_groups >= n else f"{text} of {format_count(n_groups, 'plant or leaf', 'plants or leaves')}"


def word_effects(report: DriftReport, most: int = 3) -> str:
    """What has changed and by how much, see `list_changes`.

    Args:
        report: A look that fired.
        most: Number of changes that are named.
    """
    effects = [finding.effect or title_finding(finding) for finding in list_changes(report)]
    return "; ".join(effects[:most]) + (f"; and {len(effects) - most} more" if len(effects) > most else "")


def list_changes(report: DriftReport) -> list[DriftFinding]:
    """What has changed, each thing once: in this look where it did, else in the last looks together."""
    changes: dict[str, DriftFinding] = {}
    for finding in sort_fired(report):
        known = changes.get(finding.name)
        if known is None or (known.window is not LookWindow.batch and finding.window is LookWindow.batch):
            changes[finding.name] = finding
    return list(changes.values())


def sort_fired(report: DriftReport) -> list[DriftFinding]:
    """What has changed: first what can be seen in its numbers, the plainest causes first."""

    def rank(finding: DriftFinding) -> tuple[bool, int, float]:
        # Shapes of distributions differ too, with equal middles; such an effect reads "2.02 -> 2.02".
        moved = _measure_move(finding)
        return moved < _SEEN, _ORDER.index(finding.kind), -moved

    return sorted(report.list_fired(), key=rank)


def _measure_move(finding: DriftFinding) -> float:
    """How far the typical value moved as a share of the larger one, 0-2; 1 where no single number says it."""
    if finding.before is None or finding.after is None:
        return 1.0
    return abs(finding.after - finding.before) / max(abs(finding.before), abs(finding.after), 1e-12)


_ADVICE: Final = (
    "How good the answers still are, only photographs with a known truth tell: label some and add them with "
    "`phytoscope drift truth`."
)


def word_cause(report: DriftReport) -> str:
    """What may be behind a change, in a sentence with a space after it; empty where nothing can be said."""
    kinds = [finding.kind for finding in report.list_fired()]
    first = next((kind for kind in _ORDER if kind in kinds and kind in _CAUSES), None)
    return "" if first is None else f"Behind it may be {_CAUSES[first]}. "


def word_waiting(waiting: int, needed: int) -> str:
    """Why no look was taken yet."""
    return (
        f"{format_count(waiting, 'new photograph')} answered, waiting for more: {needed - waiting} are missing to "
        f"{needed}. No look is spent."
    )


def word_nothing_new(looks: int) -> str:
    """Nothing was there that earlier looks had not seen."""
    return f"Nothing new: every photograph was there at an earlier look. {format_count(looks, 'look')} so far."


def word_promise(report: DriftReport) -> str:
    """What the promise of few false alarms means."""
    return (
        f"As long as nothing changes, the chance that any look at all ever cries wolf is at most "
        f"{format_percent(report.false_alarm)}. It is shared out over the looks: this one may spend "
        f"{_format_chance(report.alpha)}, all looks together have spent {_format_chance(report.alpha_spent)}."
    )


def word_truth(report: TruthReport) -> str:
    """What the truth says that arrived later."""
    basis = f"{format_count(report.n, 'photograph')} whose truth is known"
    now = _sum_up(report)
    before = format_error(report.reference.error, report.unit)
    kind = "wrong answers" if not report.unit else "mean error"
    if report.fired:
        return f"The answers have become worse: {kind} {now}, {before} when the model was measured ({basis})."
    return (
        f"The answers are not clearly worse than they were: {kind} {now}, {before} when the model was measured "
        f"({basis})."
    )


def _sum_up(report: TruthReport) -> str:
    n = sum(window.n for window in report.windows)
    mean = sum(window.n * window.error for window in report.windows) / max(1, n)
    return format_error(mean, report.unit)


def format_error(value: float, unit: str) -> str:
    """A share of wrong answers, or an error in its unit."""
    return format_percent(value) if not unit else format_quantity(value, unit)


def format_error_span(window: TruthWindow, unit: str) -> str:
    """Ends of the interval of an error; a dash where there is none."""
    if window.low is None or window.high is None:
        return format_number(None)
    if not unit:
        return f"{100 * window.low:.1f} to {format_percent(window.high)}"
    return f"{format_number(window.low)} to {format_quantity(window.high, unit)}"


def format_chance(p_value: float) -> str:
    """A chance as people read it: `1 in 400`, or a percentage where it is not small; a dash for none at all."""
    if p_value <= 0:
        return "\u2013"
    if p_value >= 0.1:
        return format_percent(p_value, 0)
    return "below 1 in 1,000,000" if p_value < 1e-6 else f"1 in {round(1 / p_value):,}"


def _format_chance(alpha: float) -> str:
    return f"{100 * alpha:.2g}\u00a0%"
