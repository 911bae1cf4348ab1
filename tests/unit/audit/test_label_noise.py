"""Planted wrong labels are found; a model that knows nothing doubts nobody."""

import numpy as np
import pytest

from factories.evidence import make_featured_data, with_answers
from phytoscope.audit.evidence import Skipped
from phytoscope.audit.label_noise import calibrate, find_suspect_labels
from phytoscope.schema.progress import SilentProgress


def find(data):
    return find_suspect_labels(data, folds=5, seed=0, progress=SilentProgress())


def make_clouds(n=300, distance=4.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    features = rng.normal(size=(n, 8))
    features[np.arange(n), codes] += distance
    return make_featured_data(features, [f"class {code}" for code in codes], (np.arange(n) // 6).tolist())


def test_planted_swaps_are_found():
    """Five of a hundred labels are swapped: most are found, hardly any other, and each with its true class."""
    data = make_clouds()
    labels = data.rows["label"].tolist()
    wrong = list(range(0, 300, 20))
    swapped = [labels[(at + 1) % 300] if at in wrong else label for at, label in enumerate(labels)]
    found = find(with_answers(data, swapped))
    names = [suspect.sample_id for suspect in found]
    planted = {f"{at:05}.png" for at in wrong}
    assert len(planted & set(names)) >= 0.75 * len(planted)
    assert len(planted & set(names)) >= 0.9 * len(names)
    true = dict(zip(data.rows["sample_id"], labels, strict=True))
    right = [suspect.suggested == true[suspect.sample_id] for suspect in found if suspect.sample_id in planted]
    assert np.mean(right) > 0.9
    assert [suspect.confidence for suspect in found] == sorted(suspect.confidence for suspect in found)


@pytest.mark.parametrize("distance", [2.5, 4.0, 6.0])
def test_clean_labels_are_hardly_doubted(distance):
    """Of labels that are all right, not one in a hundred is doubted, however hard the classes are to tell apart."""
    assert len(find(make_clouds(distance=distance))) <= 3


def test_wrong_label_of_a_whole_group_is_found():
    """Pictures of one leaf that all carry the same wrong label do not vouch for each other."""
    data = make_clouds()
    rows = data.rows.assign(group_id=data.rows["label"] + (data.rows.index // 18).astype(str))
    data = make_featured_data(data.facts.features(data.positions), rows["label"].tolist(), rows["group_id"].tolist())
    member = rows["group_id"] == rows["group_id"].iloc[0]
    found = find(with_answers(data, rows["label"].mask(member, "class 1").tolist()))
    assert set(rows.loc[member, "sample_id"]) <= {suspect.sample_id for suspect in found}


def test_weak_model_doubts_nobody():
    """Where nothing can be learned, no label is called wrong."""
    found = find(make_clouds(distance=0.0))
    assert isinstance(found, Skipped)
    assert "knows too little" in found.reason


def test_target_typed_wrong_is_found():
    """A weight with the decimal point in the wrong place stands out."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 4))
    target = 5 + features[:, 0] + rng.normal(0, 0.1, 200)
    target[17] *= 10
    found = find(make_featured_data(features, target, list(range(200))))
    assert found[0].sample_id == "00017.png"
    assert float(found[0].given) == pytest.approx(target[17], rel=1e-3)
    assert len(found) < 8


def test_probabilities_sum_to_one():
    """Calibrated scores are probabilities, and higher for higher scores."""
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3]])
    probs = calibrate(scores, np.array([0, 1]))
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    assert (np.argsort(probs) == np.argsort(scores)).all()
