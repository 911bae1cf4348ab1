"""Estimators inside scikit-learn's own tools: search, cross-validation by plant, pipelines, threads and processes."""

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from factories.drawn_leaves import PLAIN, draw_leaves, write_leaves
from phytoscope.estimators import networks
from phytoscope.estimators.classifier import PlantClassifier
from phytoscope.estimators.memory import MEMORY
from phytoscope.estimators.regressor import PlantRegressor

PICTURES, LABELS, SIZES, PLANTS = draw_leaves()


def cut_border(pictures):
    """The middle of each picture."""
    return pictures[:, 8:-8, 8:-8]


@pytest.fixture
def looked_at(monkeypatch):
    """How many pictures went through a backbone in each call."""
    MEMORY.clear()
    counts = []
    build = networks.build_extractor

    def count(*args, **options):
        extractor = build(*args, **options)
        plain = extractor.infer

        def infer(pixels):
            counts.append(len(pixels))
            return plain(pixels)

        object.__setattr__(extractor, "infer", infer)
        return extractor

    monkeypatch.setattr(networks, "build_extractor", count)
    return counts


def test_a_search_over_folds_of_plants_runs_the_backbone_once(looked_at):
    """Five folds and three penalties in a pipeline look at each picture once, and the search finds a model."""
    pipeline = make_pipeline(FunctionTransformer(cut_border), PlantClassifier(**PLAIN))
    penalties = [0.01, 0.1, None]

    search = GridSearchCV(pipeline, {"plantclassifier__penalty": penalties}, cv=GroupKFold(3), error_score="raise").fit(
        PICTURES, LABELS, groups=PLANTS
    )

    assert sum(looked_at) == len(PICTURES)
    assert search.best_score_ > 0.7
    assert search.best_estimator_[-1].get_params()["penalty"] in penalties
    assert (search.predict(PICTURES) == LABELS).mean() > 0.8


def test_changed_views_are_remembered_as_well(looked_at):
    """A second fit with the same seed looks at nothing; another seed changes pictures in another way."""
    settings = {**PLAIN, "augment": "leaf", "views": 2}
    PlantClassifier(**settings).fit(PICTURES, LABELS)
    first = sum(looked_at)

    PlantClassifier(**settings).fit(PICTURES[::-1], LABELS[::-1])
    again = sum(looked_at)

    assert first == 3 * len(PICTURES)
    assert again == first


def test_plants_reach_the_estimator_where_they_are_asked_for():
    """With scikit-learn's routing the groups of a search keep plants together inside each fit, too."""
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = PlantClassifier(**PLAIN).set_fit_request(groups=True)
        scores = cross_val_score(
            estimator, PICTURES, LABELS, params={"groups": PLANTS}, cv=GroupKFold(3), error_score="raise"
        )

    assert scores.mean() > 0.7


def test_paths_can_be_cross_validated(tmp_path):
    """A list of paths is divided like any other X."""
    paths = write_leaves(PICTURES, tmp_path)

    answers = cross_val_predict(PlantRegressor(**PLAIN), paths, SIZES, groups=PLANTS, cv=GroupKFold(4))

    expected = cross_val_predict(PlantRegressor(**PLAIN), PICTURES, SIZES, groups=PLANTS, cv=GroupKFold(4))
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)


def score_folds(n_jobs):
    """Scores of three folds, by plant, several at once."""
    classifier, folds = PlantClassifier(**PLAIN), GroupKFold(3)
    return cross_val_score(classifier, PICTURES, LABELS, groups=PLANTS, cv=folds, n_jobs=n_jobs, scoring="neg_log_loss")


def test_threads_give_the_same_scores_as_one():
    """Several fits at once do not disturb each other's random states."""

    def score(n_jobs):
        MEMORY.clear()
        with joblib.parallel_backend("threading"):
            return score_folds(n_jobs)

    np.testing.assert_allclose(score(3), score(1), rtol=1e-4)


@pytest.mark.slow
def test_processes_give_the_same_scores_as_one():
    """Estimators travel to other processes."""
    np.testing.assert_allclose(score_folds(2), score_folds(1), rtol=1e-4)


def test_the_head_is_about_as_good_as_logistic_regression():
    """On rows of numbers the head answers like scikit-learn's own linear classifier."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6)) * [1, 10, 0.1, 1, 1, 1] + [0, 500, 0, 0, 0, 0]
    labels = rng.random(400) < 1 / (1 + np.exp(-(rows[:, 0] + (rows[:, 1] - 500) / 10 + 10 * rows[:, 2])))
    train, test = slice(0, 300), slice(300, None)

    ours = PlantClassifier(random_state=0).fit(rows[train], labels[train])
    theirs = LogisticRegression(max_iter=5000).fit((rows[train] - rows.mean(0)) / rows.std(0), labels[train])

    expected = theirs.predict_proba((rows[test] - rows.mean(0)) / rows.std(0))[:, 1]
    assert np.abs(ours.predict_proba(rows[test])[:, 1] - expected).mean() < 0.06
    assert (
        ours.score(rows[test], labels[test])
        >= (theirs.predict((rows[test] - rows.mean(0)) / rows.std(0)) == labels[test]).mean() - 0.03
    )
