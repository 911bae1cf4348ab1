"""Labels and targets that contradict what images like them have."""

from dataclasses import replace

import numpy as np

from phytoscope.audit.cross_validation import WHOLE_PICTURE_SHARPNESS, Floats, Integers
from phytoscope.audit.evidence import ProbeData, Skipped
from phytoscope.audit.question import Question, ask
from phytoscope.schema.audit import SuspectLabel
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import LABEL, SAMPLE_ID

_LEAST_SKILL = 0.5
"""Share of the way from guessing to perfect that the model must make before it may doubt a label."""
_LEAST_SURE = 0.5
"""Probability that another class must have."""
_MOST_FALSE_ALARMS = 0.5
"""Share of doubted labels that the probabilities themselves expect to be right. Of 3,549 leaf photographs as given none
is doubted, and of 3 or 5 % planted swaps 0.66 or 0.63 are found with a precision of 0.84 or 0.94."""
_LIMITS = np.geomspace(0.001, 0.3, 40)
_TEMPERATURES = np.geomspace(0.02, 2.0, 25)
_OUTLIER = 5.0
"""Robust standard deviations from which a target is doubted: one in 1.7 million of a normal distribution."""
_MAD_TO_SD = 1.4826
_MOST_DISBELIEVED = 0.02
"""Share of doubted targets above which it is the model that is wrong."""
_IMAGES_A_PART, _MOST_PARTS = 50, 10


def find_suspect_labels(data: ProbeData, *, folds: int, seed: int, progress: Progress) -> list[SuspectLabel] | Skipped:
    """Lists images whose label is worth a look, the least credible first.

    Classes: confident learning (Northcutt et al. 2021, doi 10.1613/jair.1.12125) as cleanlab does it, on probabilities
    of a model that was trained without the image's group, so that other pictures of the same leaf with the same wrong
    label do not vouch for it; another class must be likely, too, and the label so unlikely that at most half of the
    doubts are expected to be false. Numbers: residuals of the same model beyond five robust standard deviations.

    Args:
        data: Images with answers.
        folds: Folds of the cross-validation, by group.
        seed: Seed of folds and landmarks.
        progress: Told about the stages.

    Returns:
        Suspects, or why labels could not be judged: too few images, or a model that knows too little to doubt anybody.
    """
    question = ask(data, folds=folds, seed=seed)
    if isinstance(question, Skipped):
        return question
    progress.start("Checking labels", 2)
    view = question.data.facts.features(question.data.positions).astype(float)
    believed = question
    preds = question.predict(view, sharpness=WHOLE_PICTURE_SHARPNESS)[0]
    if not question.class_names:
        # One weight in another unit pulls the whole model away, so the model learns once more without such answers.
        doubted = _distances(question.answers[:, 0], preds[:, 0]) > _OUTLIER
        if doubted.mean() <= _MOST_DISBELIEVED:
            believed = replace(question, answers=np.where(doubted[:, None], preds, question.answers))
        preds = believed.predict(view, sharpness=WHOLE_PICTURE_SHARPNESS)[0]
    progress.advance(1)
    score = believed.tally(preds).score
    suspects: list[SuspectLabel] | Skipped
    if (score - question.chance) / (1 - question.chance) < _LEAST_SKILL:
        what = (
            f"balanced accuracy {score:.2f}, guessing {question.chance:.2f}"
            if question.class_names
            else f"R² {score:.2f}"
        )
        suspects = Skipped(f"the quick model knows too little to doubt a label ({what} on groups kept back).")
    elif question.class_names:
        suspects = _doubt_classes(question, preds)
    else:
        suspects = _doubt_numbers(question, preds[:, 0])
    progress.advance(1)
    progress.finish()
    return suspects


def _doubt_classes(question: Question, preds: Floats) -> list[SuspectLabel]:
    # Imported here because it takes a second, which the command line's other commands need not wait for.
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels = question.strata
    probs = calibrate(preds, labels)
    quality = get_label_quality_scores(labels, probs, method="self_confidence")
    doubted = find_label_issues(labels, probs, filter_by="both", n_jobs=1, min_examples_per_class=0)
    doubted &= probs.max(axis=1) > _LEAST_SURE
    doubted &= quality < _choose_limit(probs, quality[doubted])
    positions = np.flatnonzero(doubted)
    positions = positions[np.argsort(quality[positions], kind="stable")]
    ids, given = question.data.rows[SAMPLE_ID], question.data.rows[LABEL].astype(str)
    likely = probs.argmax(axis=1)
    return [
        SuspectLabel(str(ids[at]), given[at], question.class_names[likely[at]], float(probs[at, labels[at]]))
        for at in positions
        if likely[at] != labels[at]
    ]


def _choose_limit(probs: Floats, doubted: Floats) -> float:
    """The probability below which labels are doubted: the largest at which few enough doubts are expected to be false.

    A right label is drawn from the probabilities, so it falls below a limit as often as their sum below it says.

    Args:
        probs: Shape (N, K).
        doubted: Probability of each label in question, shape (M,).
    """
    sure = probs[probs.max(axis=1) > _LEAST_SURE]
    best = 0.0
    for limit in _LIMITS:
        n_expected = float(sure[sure < limit].sum())
        if n_expected <= _MOST_FALSE_ALARMS * np.count_nonzero(doubted < limit):
            best = float(limit)
    return best


def calibrate(preds: Floats, labels: Integers) -> Floats:
    """Turns kept-back scores of classes into probabilities by the one temperature that fits the labels best.

    Args:
        preds: Shape (N, K).
        labels: Shape (N,), counting from 0.

    Returns:
        Probabilities, shape (N, K), rows sum to 1.
    """
    best, lowest = np.full_like(preds, 1.0 / preds.shape[1]), np.inf
    for temperature in _TEMPERATURES:
        scaled = (preds - preds.max(axis=1, keepdims=True)) / temperature
        logs = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        loss = -float(logs[np.arange(len(labels)), labels].mean())
        if loss < lowest:
            best, lowest = np.exp(logs), loss
    return best


def _doubt_numbers(question: Question, preds: Floats) -> list[SuspectLabel]:
    target = question.answers[:, 0]
    distance = _distances(target, preds)
    doubted = np.flatnonzero(distance > _OUTLIER)
    ids = question.data.rows[SAMPLE_ID]
    return [
        SuspectLabel(str(ids[at]), f"{target[at]:.4g}", f"{preds[at]:.4g}", float(_OUTLIER / distance[at]))
        for at in doubted[np.argsort(-distance[doubted], kind="stable")]
    ]


def _distances(target: Floats, preds: Floats) -> Floats:
    """How far each target is off, in robust standard deviations of images with predictions of like size, shape (N,)."""
    residuals = target - preds
    order = np.argsort(preds, kind="stable")
    distance = np.empty(len(target))
    # Large plants are off by more grams than small ones.
    for part in np.array_split(order, int(np.clip(len(order) // _IMAGES_A_PART, 1, _MOST_PARTS))):
        centre = np.median(residuals[part])
        usual = _MAD_TO_SD * float(np.median(np.abs(residuals[part] - centre)))
        distance[part] = np.abs(residuals[part] - centre) / max(usual, 1e-12)
    return distance
