"""Calibration, prediction sets and the error among accepted answers on photographs of real leaves."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from phytoscope.configs import compose_config
from phytoscope.data.read import read_source
from phytoscope.evaluate.classification import compute_ece
from phytoscope.schema.choices import SetKind
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.observed import Labelled, Observed
from phytoscope.trust.quantile import number_groups

pytestmark = [pytest.mark.real, pytest.mark.slow]
CROPS = ("Apple", "Potato", "Strawberry", "Pepper", "Orange", "Raspberry")
DEALS = 40
ACCEPT = tuple(Verdict).index(Verdict.accept)


@pytest.fixture(scope="module")
def leaves(real_data_root) -> tuple[Labelled, Labelled]:
    """Answers of a small model of colours to leaves it did not learn from: validation rows, and rows to deal."""
    source = read_source(compose_config(["data=plantvillage", f"data.root={real_data_root / 'plantvillage'}"]).data)
    rows = source.rows[source.rows["label"].str.startswith(CROPS)]
    features = np.stack([describe(path) for path in rows["path"]])
    names = sorted(set(rows["label"]))
    truth = rows["label"].map(names.index).to_numpy(dtype=np.int64)
    groups = rows["group_id"].to_numpy(dtype=object)
    codes, n_groups = number_groups(groups)
    place = np.random.default_rng(0).random(n_groups)[codes]
    learned = place < 0.35
    model = LogisticRegression(C=3.0, max_iter=300).fit(features[learned], truth[learned])
    probs = model.predict_proba(features)
    parts = []
    for chosen in ((place >= 0.35) & (place < 0.5), place >= 0.5):
        observed = Observed(probs[chosen], np.full(int(chosen.sum()), np.nan))
        parts.append(Labelled(observed, truth[chosen], groups[chosen]))
    return parts[0], parts[1]


def describe(path: str) -> np.ndarray:
    """Colours of a coarse grid, and how much they vary, centred, shape (96,)."""
    with Image.open(path) as image:
        image.draft("RGB", (64, 64))
        pixels = np.asarray(image.convert("RGB").resize((32, 32)), dtype=np.float64) / 255.0
    cells = pixels.reshape(4, 8, 4, 8, 3)
    return np.concatenate([cells.mean(axis=(1, 3)).ravel(), 3.0 * cells.std(axis=(1, 3)).ravel()]) * 4.0 - 2.0


def deal(rows: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Deals the groups to two halves."""
    codes, n_groups = number_groups(rows.groups)
    first = (np.random.default_rng(seed).permutation(n_groups) < n_groups // 2)[codes]
    halves = []
    for chosen in (first, ~first):
        observed = Observed(rows.observed.answers[chosen], rows.observed.novelty[chosen])
        halves.append(Labelled(observed, rows.truth[chosen], rows.groups[chosen]))
    return halves[0], halves[1]


def mean_of_groups(values: np.ndarray, groups: np.ndarray) -> float:
    """Mean over groups of the mean in each."""
    codes, _ = number_groups(groups)
    return float(np.mean(np.bincount(codes, weights=values) / np.bincount(codes)))


@pytest.mark.parametrize("kind", list(SetKind))
def test_sets_hold_on_leaves_never_seen(leaves, kind) -> None:
    """Over many deals of real leaves, sets hold the truth of new ones as often as promised."""
    val, pool = leaves
    reached, counted = [], []
    for seed in range(DEALS):
        calibration, new = deal(pool, seed)
        trust = fit_trust(Task.classification, calibration, val, TrustWishes(sets=kind))
        sets = trust.judge(new.observed).sets
        held = sets[np.arange(len(new)), new.truth]
        assert trust.sets.promised == 0.9
        reached.append(mean_of_groups(held, new.groups))
        counted.append(mean_of_groups(sets.sum(axis=1), new.groups))
    # Two halves of the same leaves move against each other: their means vary less than single deals do.
    n_groups = number_groups(pool.groups)[1]
    assert np.mean(reached) >= 0.9 - 3 * np.sqrt(0.09 / n_groups / DEALS)
    assert np.mean(reached) <= 0.96
    assert 1.0 < np.mean(counted) < 8.0


def test_probabilities_and_accepted_answers_on_leaves_never_seen(leaves) -> None:
    """Probabilities become honest, and accepted answers keep the wanted error rate, by leaves."""
    val, pool = leaves
    before, after, wrong, accepted = [], [], 0.0, 0.0
    for seed in range(DEALS):
        calibration, new = deal(pool, seed)
        # Sharpened, as networks trained to the end are.
        sharp = [
            dataclasses.replace(rows, observed=dataclasses.replace(rows.observed, answers=sharpen(rows)))
            for rows in (calibration, val, new)
        ]
        trust = fit_trust(Task.classification, sharp[0], sharp[1], TrustWishes(error_rate=0.2))
        judged = trust.judge(sharp[2].observed)
        for errors, probs in ((before, sharp[2].observed.answers), (after, judged.answers)):
            errors.append(compute_ece(new.truth, probs.argmax(axis=1), probs))
        codes, _ = number_groups(new.groups)
        weights = 1.0 / np.bincount(codes)[codes]
        answered = judged.verdict == ACCEPT
        wrong += float(weights[answered & (judged.answers.argmax(axis=1) != new.truth)].sum())
        accepted += float(weights[answered].sum())
    assert np.mean(after) < 0.5 * np.mean(before)
    assert accepted > 0
    assert wrong / accepted <= 0.2


def sharpen(rows: Labelled) -> np.ndarray:
    """Probabilities of logits three times as large."""
    powers = rows.observed.answers**3
    return powers / powers.sum(axis=1, keepdims=True)
