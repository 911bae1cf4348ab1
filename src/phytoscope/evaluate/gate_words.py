"""What the gate says, in sentences."""

from collections.abc import Mapping

from phytoscope.schema.operate import PromoteConfig
from phytoscope.schema.promotion import PromotionCheck, PromotionDecision, SliceGain
from phytoscope.schema.table import Task

_SHOWN = 3


def word_gain(gain: float, task: Task) -> str:
    """A gain or loss as words, for example `1.2 points worse` or `4 % better`.

    Args:
        gain: Points (0-1) of a share, or a share of the champion's error; above 0 is better.
        task: Classification or regression.
    """
    size = f"{abs(100 * gain):.3g}" if abs(gain) >= 0.1 else f"{abs(100 * gain):.2g}"
    if gain == 0.0:
        return "as good"
    unit = " points" if task is Task.classification else " %"
    return f"{size}{unit} {'better' if gain > 0 else 'worse'}"


def word_groups(n_groups: int, min_groups: int, left_out: Mapping[str, int]) -> str:
    """On how many groups was measured, and whether that is enough."""
    text = (
        "1 group (leaf, plant) was measured" if n_groups == 1 else f"{n_groups} groups (leaves, plants) were measured"
    )
    if left_out:
        text += "; left out were " + ", ".join(f"{count} images {why}" for why, count in left_out.items())
    if n_groups >= min_groups:
        return f"{text}."
    return (
        f"{text}. At least {min_groups} are needed: put more plants into the test split, or lower promote.min_groups."
    )


def word_overall(
    check: PromotionCheck,
    task: Task,
    values: tuple[float, float],
    rules: PromoteConfig,
    *,
    needed: int | None,
    far: float,
) -> str:
    """How the challenger does overall, and what speaks against it.

    Args:
        check: The numbers.
        task: Classification or regression.
        values: Deciding metric of champion and challenger.
        rules: When it passes.
        needed: Groups that would be enough; None where that is not known.
        far: How many margins worse it must be shown not to be.
    """
    gain = check.value or 0.0
    champion, challenger = values
    name = "macro-F1" if task is Task.classification else "RMSE"
    text = f"{name} {challenger:.4g}, of the champion {champion:.4g}: {word_gain(gain, task)}"
    if check.low is None:
        return f"{text}; how sure that is cannot be told from one group."
    sure = f"with {100 * rules.confidence:g} % confidence not more than {word_gain(check.low, task)}"
    if check.low == 0:
        sure = f"with {100 * rules.confidence:g} % confidence not worse"
    if check.low > 0:
        sure = f"with {100 * rules.confidence:g} % confidence at least {word_gain(check.low, task)}"
    if rules.must_win:
        return f"{text}, {sure}" + (
            "." if check.passed else "; it must be clearly better (promote.must_win), and that is not shown."
        )
    allowed = word_gain(-rules.margin, task) if rules.margin > 0 else "nothing worse"
    if check.passed:
        return f"{text}, {sure}; allowed is {allowed}."
    if gain < -rules.margin:
        return f"{text}; allowed is {allowed}."
    text += f"; a loss of {word_gain(-far * rules.margin, task)} must be ruled out and is not ({sure})"
    if needed is None:
        return f"{text}."
    return f"{text}. {_word_needed(needed, check, far)}"


def _word_needed(needed: int, check: PromotionCheck, far: float) -> str:
    margin = -(check.low or 0.0) / far
    other = f"promote.margin={margin:.2g} would let it pass"
    return f"About {needed:,} groups like these would tell; {other}."


def word_slices(slices: list[SliceGain], task: Task, rules: PromoteConfig) -> str:
    """In which slices it is clearly worse, or that there is none."""
    judged = [part for part in slices if part.p is not None]
    small = len(slices) - len(judged)
    unjudged = f" {small} more have fewer than {rules.min_groups} groups and are not judged." if small else ""
    if not judged:
        return f"no slice has {rules.min_groups} groups, so none is judged."
    worse = [part for part in judged if part.worse]
    if worse:
        shown = "; ".join(_word_slice(part, task) for part in worse[:_SHOWN])
        more = f"; and {len(worse) - _SHOWN} more" if len(worse) > _SHOWN else ""
        return f"clearly worse than the champion on {shown}{more} (allowed: {word_gain(-rules.slice_margin, task)})."
    least = min(judged, key=lambda part: part.gain)
    end = "no part loses" if least.gain >= 0 else f"the largest loss is on {_word_slice(least, task)}"
    return f"in none of {len(judged)} slices is it clearly worse; {end}.{unjudged}"


def _word_slice(part: SliceGain, task: Task) -> str:
    return f"{part.what} {part.name!r} ({word_gain(part.gain, task)}, {part.n} images of {part.n_groups} groups)"


def word_promoted(decision: PromotionDecision) -> str:
    """The verdict on a challenger that passed."""
    if decision.champion is None:
        return f"{_name(decision)} becomes the first champion of {decision.name!r}: it passes every check of its own."
    overall = decision.get_check("overall").reason
    return f"{_name(decision)} becomes champion of {decision.name!r}: {overall}"


def word_kept(decision: PromotionDecision) -> str:
    """The verdict on a challenger that did not pass."""
    failed = " ".join(f"{check.name}: {check.reason}" for check in decision.checks if not check.passed)
    stays = "nobody becomes champion" if decision.champion is None else "the champion stays"
    return f"{_name(decision)} is not promoted, {stays}. {failed}"


def _name(decision: PromotionDecision) -> str:
    version = decision.challenger.version
    return f"Model {decision.challenger.model_id}" if version is None else f"Version {version}"
