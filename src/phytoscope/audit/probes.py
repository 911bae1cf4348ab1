"""Shortcut probes: what small models learn from what should not give the answer away."""

from dataclasses import dataclass

from phytoscope.audit.cross_validation import WHOLE_PICTURE_SHARPNESS, Floats
from phytoscope.audit.evidence import ProbeData, Skipped
from phytoscope.audit.question import Question, ask, join_views
from phytoscope.audit.scoring import interval_of
from phytoscope.audit.views import (
    Masks,
    Thumbnails,
    backgrounds_of,
    colours_of,
    find_plants,
    metadata_of,
    ring_of,
    share_of_plant_at_border,
)
from phytoscope.audit.wording import plural, spell_interval, spell_percent, spell_r2
from phytoscope.schema.audit import Probe, Severity
from phytoscope.schema.progress import Progress

WHOLE, BORDER, COLOUR, METADATA, ERASED = "whole_image", "border_pixels", "colour", "metadata", "plant_erased"

_ERROR_SKILL = 1 / 3
"""Share of the way from guessing to perfect from which a shortcut alone makes a good-looking score."""
_ERROR_SKILL_OF_WHOLE = 0.2
"""The same where the shortcut reaches half of what the whole picture does."""
_WARNING_SKILL = 0.1
_COLOUR_OF_WHOLE = 0.8
_PLANT_AT_BORDER = 0.2
"""Share of the border from which plants there are mentioned; from the next one on, the border is no background."""
_MOSTLY_PLANT = 1 / 3
_PLANT_AT_BORDER_OF_NUMBERS = 0.05
"""The same when the answer is a number: a plant that grows over the edge tells its size there."""
_LEAST_BACKGROUNDS = 0.5
_WIDE = 0.4
"""Width of an interval, as a share of the way from guessing to perfect, from which a score says little."""
_SHUFFLES = 4
_INTERVAL_IN_SPREADS = 2 * 1.96
_SURE_IN_SPREADS = 3.0
"""Standard errors above guessing for an alarm: with 95 %, one clean data set in eight would have a false one."""

_DESCRIPTIONS = {
    WHOLE: "colour and texture of the whole picture, for comparison",
    BORDER: "the outermost pixels of the picture at 32 x 32 px and nothing else",
    COLOUR: "how frequent each colour is in the picture, without places",
    METADATA: "what the file says without its pixels: size, format, the camera's record, columns of time and source",
    ERASED: "the picture with the plant erased (green pixels, all between them and two pixels of 32 around), told so "
    "that the shape of the hole does not show; brown tissue at a leaf's edge may be left",
}
_SUBJECTS = {
    WHOLE: "The whole picture",
    BORDER: "Border pixels alone",
    COLOUR: "Colours alone",
    METADATA: "File metadata alone",
    ERASED: "The picture with the plant erased",
}
_MEANINGS = {
    BORDER: "the background gives the answer away",
    COLOUR: "a model may learn the lamp and the camera instead of the plant",
    METADATA: "how the pictures were taken or saved gives the answer away",
    ERASED: "what surrounds the plant gives the answer away",
}
_REMEDIES = {
    WHOLE: "Look at the sample sheets: are the labels right, and can a person tell the answer from these pictures?",
    BORDER: "Crop to the plant or cut it out and replace the background in training, and judge the model on pictures "
    "with other backgrounds.",
    COLOUR: "Vary colour and white balance in training, and judge the model on pictures from another camera or lamp.",
    METADATA: "Take the pictures of all classes or plants with the same camera, size and session, or save them all the "
    "same way, and keep whole sessions back for the test.",
    ERASED: "Cut the plant out or replace the background in training, and judge the model on pictures from elsewhere.",
}


@dataclass(frozen=True)
class _Result:
    """Score of one view with its interval, and the best score of shuffled answers."""

    score: float
    low: float
    high: float
    shuffled: float

    def beats(self, chance: float) -> bool:
        """Whether the score is above guessing by more than accident."""
        spread = (self.high - self.low) / _INTERVAL_IN_SPREADS
        return self.score - _SURE_IN_SPREADS * spread > max(chance, self.shuffled)


def run_probes(data: ProbeData, *, folds: int, seed: int, progress: Progress) -> list[Probe]:
    """Scores small models on parts of the evidence, on groups kept back; the whole image comes first, for comparison.

    Classification is scored by balanced accuracy over classes that stand in two or more groups, regression by R², with
    95 % intervals by resampling groups. A probe counts as better than guessing when it lies three standard errors above
    both guessing and the same model trained on answers that were shuffled between groups.

    Args:
        data: Images with answers.
        folds: Folds of the cross-validation.
        seed: Seed of folds, landmarks, shuffles and intervals.
        progress: Told about each probe.

    Returns:
        Probes `whole_image`, `border_pixels`, `colour`, `metadata`, `plant_erased`; those that could not be measured
        have no score and say why.
    """
    question = ask(data, folds=folds, seed=seed)
    if isinstance(question, Skipped):
        metric, reason = ("balanced_accuracy" if data.task == "classification" else "r2"), question.reason
        return [_unmeasured(name, metric, 0.0, len(data), reason) for name in _DESCRIPTIONS]
    progress.start("Looking for shortcuts", len(_DESCRIPTIONS))
    pictures = question.data.facts.thumbnails(question.data.positions)
    plants = find_plants(pictures)
    whole = _score(
        question, question.data.facts.features(question.data.positions).astype(float), WHOLE_PICTURE_SHARPNESS
    )
    probes = [_judge_whole(question, whole)]
    progress.advance(1, WHOLE)
    for name in (BORDER, COLOUR, METADATA, ERASED):
        probes.append(_probe(name, question, whole, pictures, plants))
        progress.advance(1, name)
    progress.finish()
    return probes


def title_of(probe: Probe, target_name: str) -> str:
    """The score in one short sentence.

    Args:
        probe: One that was measured.
        target_name: The user's own name of the answer.
    """
    score = 0.0 if probe.score is None else probe.score
    subject, ending = _SUBJECTS[probe.name], "s" * (probe.name in (WHOLE, ERASED, METADATA))
    if probe.metric == "r2":
        return f"{subject} explain{ending} {spell_percent(max(score, 0.0))} of the variance of {target_name}"
    guessing = spell_percent(probe.chance)
    return f"{subject} tell{ending} the class right {spell_percent(score)} of the time (guessing: {guessing})"


def remedy_of(probe: Probe) -> str:
    """What to do about a probe, in one sentence; empty when there is nothing to do."""
    return "" if probe.severity is Severity.note else _REMEDIES[probe.name]


def _probe(name: str, question: Question, whole: _Result, pictures: Thumbnails, plants: Masks) -> Probe:
    caveat, is_doubtful = "", False
    if name == METADATA:
        kinds = metadata_of(question.data)
        if not kinds:
            reason = "all files have the same size, format and camera record, so there is nothing to learn from them"
            return _unmeasured(name, question.metric, question.chance, len(question.data), reason)
        view = join_views(list(kinds.values()))
        caveat = _name_best(question, kinds)
    elif name == ERASED:
        view, seen = backgrounds_of(pictures, plants)
        if seen.mean() < _LEAST_BACKGROUNDS:
            reason = f"only {spell_percent(float(seen.mean()))} of the pictures show any background beside the plant"
            return _unmeasured(name, question.metric, question.chance, len(question.data), reason)
    else:
        view = ring_of(pictures) if name == BORDER else colours_of(pictures)
    result = _score(question, view)
    if name == BORDER:
        share = share_of_plant_at_border(plants)
        is_doubtful = share >= (_MOSTLY_PLANT if question.class_names else _PLANT_AT_BORDER_OF_NUMBERS)
        if share >= _PLANT_AT_BORDER or (is_doubtful and not question.class_names):
            caveat = f"plants cover {spell_percent(share)} of the border, so part of this may be the plant"
    severity = _grade(name, question, result, whole, is_doubtful=is_doubtful)
    return _make(name, question, result, _word(name, question, result, whole, severity, caveat), severity)


def _score(question: Question, view: Floats, sharpness: float = 1.0) -> _Result:
    orders = question.shuffle(_SHUFFLES)
    own, *others = question.predict(view, orders=orders, sharpness=sharpness)
    tally = question.tally(own)
    low, high = interval_of([tally], (1.0,), question.seed)
    shuffled = [question.tally(preds, order=order).score for preds, order in zip(others, orders, strict=True)]
    return _Result(tally.score, low, high, max(shuffled))


def _grade(name: str, question: Question, result: _Result, whole: _Result, *, is_doubtful: bool) -> Severity:
    skill = _skill(result.score, question.chance)
    whole_skill = max(_skill(whole.score, question.chance), 1e-9)
    if not result.beats(question.chance) or skill < _WARNING_SKILL:
        return Severity.note
    if name == COLOUR and not question.class_names:
        # How much of the picture is green is among the colours, and how large a plant is.
        return Severity.note
    if name == COLOUR:
        # Colour is what many diseases show themselves by; it is suspicious only when nothing else is needed.
        return Severity.warning if skill >= max(_ERROR_SKILL, _COLOUR_OF_WHOLE * whole_skill) else Severity.note
    serious = skill >= _ERROR_SKILL or (skill >= _ERROR_SKILL_OF_WHOLE and skill >= 0.5 * whole_skill)
    # When a picture was taken may well explain an age or a weight, and what is left of a plant tells its size.
    mild = is_doubtful or (name in (METADATA, ERASED) and not question.class_names)
    return Severity.error if serious and not mild else Severity.warning


def _judge_whole(question: Question, result: _Result) -> Probe:
    severity = Severity.note
    if _is_vague(question, result):
        meaning = _say_little(question)
    elif result.low > question.chance:
        meaning = "what a quick model makes of these pictures"
    else:
        meaning, severity = "no better than guessing: a quick model finds nothing to learn", Severity.warning
    verdict = f"{_measured(WHOLE, question, result, None)}: {meaning}."
    return _make(WHOLE, question, result, verdict, severity)


def _word(name: str, question: Question, result: _Result, whole: _Result, severity: Severity, caveat: str) -> str:
    measured = _measured(name, question, result, whole)
    if not result.beats(question.chance):
        if _is_vague(question, result):
            return f"{measured}: {_say_little(question)}."
        if _skill(result.score, question.chance) < _WARNING_SKILL:
            return f"{measured}: no better than guessing."
        return f"{measured}: with {_count_groups(question)}, not to be told from guessing."
    if severity is Severity.error:
        meaning = _MEANINGS[name]
    elif severity is Severity.warning:
        meaning = f"better than guessing, so {_MEANINGS[name]} in part" if name != COLOUR else _MEANINGS[name]
    else:
        meaning = "colour is part of what the plant shows" if name == COLOUR else "little more than guessing"
    return f"{measured}: {meaning}{f' ({caveat})' if caveat else ''}."


def _is_vague(question: Question, result: _Result) -> bool:
    """Whether the interval reaches from next to nothing to a lot."""
    low, high = (_skill(end, question.chance) for end in (result.low, result.high))
    return high - max(low, 0.0) > _WIDE


def _say_little(question: Question) -> str:
    return f"with {_count_groups(question)} this says little"


def _count_groups(question: Question) -> str:
    return plural(int(question.groups.max()) + 1, "group")


def _measured(name: str, question: Question, result: _Result, whole: _Result | None) -> str:
    interval = spell_interval(result.low, result.high)
    if question.class_names:
        extra = f"; the whole picture {spell_percent(whole.score)}" if whole is not None else ""
        subject = f"{_SUBJECTS[name]} tell{'s' * (name in (WHOLE, ERASED, METADATA))}"
        return (
            f"{subject} {len(question.class_names)} classes right {spell_percent(result.score)} of the time "
            f"({interval}; guessing {spell_percent(question.chance)}{extra})"
        )
    extra = f"; the whole picture {spell_percent(max(whole.score, 0.0))}" if whole is not None else ""
    subject = f"{_SUBJECTS[name]} explain{'s' * (name in (WHOLE, ERASED, METADATA))}"
    if result.score <= 0:
        return (
            f"{subject} nothing of {question.data.target_name} on groups kept back (R² {spell_r2(result.score)}; "
            f"{interval}{extra})"
        )
    return (
        f"{subject} {spell_percent(result.score)} of the variance of {question.data.target_name} on groups kept back "
        f"({interval}{extra})"
    )


def _name_best(question: Question, kinds: dict[str, Floats]) -> str:
    if len(kinds) == 1:
        return f"only {next(iter(kinds))} differs"
    scores = {name: question.tally(question.predict(view)[0]).score for name, view in kinds.items()}
    best = max(scores, key=lambda name: scores[name])
    return f"most of it from {best}: {spell_percent(max(scores[best], 0.0))} alone"


def _make(name: str, question: Question, result: _Result, verdict: str, severity: Severity) -> Probe:
    return Probe(
        name,
        f"The model was shown {_DESCRIPTIONS[name]}.",
        question.metric,
        result.score,
        question.chance,
        result.low,
        result.high,
        len(question.data),
        verdict,
        severity,
    )


def _unmeasured(name: str, metric: str, chance: float, n: int, reason: str) -> Probe:
    verdict = f"Not measured: {reason.rstrip('.')}."
    description = f"The model would be shown {_DESCRIPTIONS[name]}."
    return Probe(name, description, metric, None, chance, None, None, n, verdict, Severity.note)


def _skill(score: float, chance: float) -> float:
    """Share of the way from guessing to perfect."""
    return float((score - chance) / (1.0 - chance))
