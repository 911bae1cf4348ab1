"""PlantClassifier: labels of any kind, pictures in any form, the same answers for the same seed."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import phytoscope
from factories.drawn_leaves import PLAIN, TINY, draw_leaves, write_leaves
from phytoscope.errors import ConfigError, DataValidationError, ImageReadError, SplitError
from phytoscope.estimators.classifier import PlantClassifier
from phytoscope.estimators.memory import MEMORY

PICTURES, LABELS, _, PLANTS = draw_leaves()


@pytest.fixture(scope="module")
def fitted():
    """A classifier that knows the leaves."""
    return PlantClassifier(**PLAIN).fit(PICTURES, LABELS, PLANTS)


def test_leaves_are_told_apart(fitted):
    """Sick leaves of new plants are found, which a model that learned nothing could not do."""
    pictures, labels, _, plants = draw_leaves(plants=40)
    new = np.char.add(plants, "") > ""
    new[: len(PICTURES)] = False

    assert fitted.score(pictures[new], labels[new]) > 0.8
    assert list(fitted.classes_) == ["healthy", "sick"]
    assert fitted.n_features_in_ == 3 * 32 * 32


def test_the_top_level_names_are_the_estimators():
    """`import phytoscope as ph; ph.PlantClassifier` is the class."""
    assert phytoscope.PlantClassifier is PlantClassifier


@pytest.mark.parametrize("form", ["paths", "texts", "series", "frame", "object array", "list", "column"])
def test_arrays_and_paths_give_the_same_answers(fitted, tmp_path, form):
    """In whatever form the pictures come, the answers are the same."""
    paths = write_leaves(PICTURES, tmp_path)
    texts = [str(path) for path in paths]
    forms = {
        "paths": paths,
        "texts": np.array(texts),
        "series": pd.Series(texts, index=range(100, 100 + len(texts))),
        "frame": pd.DataFrame({"photo": texts}),
        "object array": np.array(paths, dtype=object),
        "list": list(PICTURES),
        "column": np.array(texts)[:, None],
    }

    settings = {**PLAIN, "augment": "leaf", "views": 1}
    files, pixels = (PlantClassifier(**settings).fit(given, LABELS) for given in (forms[form], PICTURES))

    np.testing.assert_allclose(files.predict_proba(forms[form]), pixels.predict_proba(PICTURES), atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(forms[form]), fitted.predict_proba(PICTURES), atol=1e-6)


def test_pictures_of_several_sizes_may_come_together(fitted):
    """A list may hold pictures of any size."""
    mixed = [PICTURES[0], PICTURES[1, 4:, 8:], PICTURES[2]]

    probabilities = fitted.predict_proba(mixed)

    np.testing.assert_allclose(probabilities[[0, 2]], fitted.predict_proba(PICTURES[[0, 2]]))
    assert not np.allclose(probabilities[1], fitted.predict_proba(PICTURES[[1]])[0], atol=1e-9)


@pytest.mark.parametrize(
    "labels",
    [
        (LABELS == "sick").astype(np.int8),
        LABELS == "sick",
        np.where(LABELS == "sick", -1.0, 2.0),
        LABELS.astype(object),
        pd.Series(LABELS, dtype="category"),
        pd.Series(LABELS, dtype="string"),
        LABELS.tolist(),
    ],
    ids=["int8", "bool", "float", "object", "categories", "strings", "list"],
)
def test_labels_come_back_as_they_were_given(fitted, labels):
    """Whatever labels are, the same ones are predicted, and the probabilities do not depend on what they are called."""
    known = clone(fitted).fit(PICTURES, labels, PLANTS)
    order = [known.classes_.tolist().index(np.asarray(labels)[place]) for place in (0, 2)]

    assert set(known.predict(PICTURES).tolist()) <= set(np.asarray(labels).tolist())
    assert (known.predict(PICTURES) == np.asarray(labels)).mean() > 0.9
    np.testing.assert_allclose(known.predict_proba(PICTURES)[:, order], fitted.predict_proba(PICTURES), atol=2e-3)


def test_the_same_seed_gives_the_same_answers_and_0_is_a_seed():
    """Everything random comes from `random_state`, also where the backbone is drawn."""

    def answer(seed):
        MEMORY.clear()
        estimator = PlantClassifier(**{**TINY, "random_state": seed, "views": 1})
        return estimator.fit(PICTURES, LABELS).predict_proba(PICTURES)

    first = answer(0)

    np.testing.assert_array_equal(answer(0), first)
    np.testing.assert_array_equal(answer(np.int64(0)), first)
    assert not np.allclose(answer(1), first, atol=1e-3)
    assert not np.allclose(answer(None), answer(None), atol=1e-6)
    np.testing.assert_array_equal(answer(np.random.RandomState(7)), answer(np.random.RandomState(7)))


def test_fitting_leaves_the_random_states_of_the_caller_alone():
    """What the caller draws next does not depend on whether an estimator was fitted."""
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 (the global state is what is looked at)
    expected = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    PlantClassifier(**{**TINY, "views": 1}).fit(PICTURES, LABELS)

    assert torch.equal(torch.get_rng_state(), expected[0])
    np.testing.assert_array_equal(np.random.get_state()[1], expected[1])  # noqa: NPY002


def test_a_pickled_classifier_answers_as_before(fitted):
    """Pickle keeps everything, and a copy can be fitted again."""
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301 (our own bytes)
    MEMORY.clear()

    np.testing.assert_allclose(copy.predict_proba(PICTURES), fitted.predict_proba(PICTURES), atol=1e-6)
    assert copy.get_params() == fitted.get_params()
    assert copy.penalty_ == fitted.penalty_


def test_changed_views_are_learned_from_too():
    """Augmentation changes the head, and more views change it again."""
    answers = [
        PlantClassifier(**{**TINY, "penalty": 0.1, "views": views}).fit(PICTURES, LABELS).predict_proba(PICTURES)
        for views in (0, 1, 2)
    ]

    assert not np.allclose(answers[0], answers[1], atol=1e-4)
    assert not np.allclose(answers[1], answers[2], atol=1e-4)


def test_a_penalty_of_the_users_own_is_taken():
    """`penalty` replaces the choice, and a strong one brings the probabilities together."""
    soft, hard = (PlantClassifier(**PLAIN, penalty=penalty).fit(PICTURES, LABELS) for penalty in (0.001, 100.0))

    assert (soft.penalty_, hard.penalty_) == (0.001, 100.0)
    spread = [np.ptp(each.predict_proba(PICTURES)[:, 0]) for each in (soft, hard)]
    assert spread[0] > 4 * spread[1]


@pytest.mark.slow
@pytest.mark.parametrize("adapt", ["full", "lora"])
def test_the_network_itself_can_be_trained(adapt):
    """With another `adapt` the backbone changes, too, and the answers are those of a plain network."""
    settings = {**PLAIN, "adapt": adapt, "max_epochs": 20, "batch_size": 8}

    trained = PlantClassifier(**settings).fit(PICTURES, LABELS, PLANTS)
    again = PlantClassifier(**settings).fit(PICTURES, LABELS, PLANTS)
    head = PlantClassifier(**PLAIN).fit(PICTURES, LABELS, PLANTS)

    first = {name: value for name, value in trained.predictor_.network.state_dict().items() if "backbone" in name}
    still = head.predictor_.network.state_dict()
    assert first.keys() == {name for name in still if "backbone" in name}
    assert any(not torch.equal(value, still[name]) for name, value in first.items())
    assert trained.penalty_ is None
    np.testing.assert_allclose(again.predict_proba(PICTURES), trained.predict_proba(PICTURES), atol=1e-6)
    assert trained.score(PICTURES, LABELS) > 0.6


def test_nothing_is_predicted_before_fitting(tmp_path):
    """The error is the one that people catch."""
    for call in ("predict", "predict_proba", "save"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(PlantClassifier(), call)(tmp_path / "package" if call == "save" else PICTURES)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (PICTURES[0], r"X\[np.newaxis\]"),
        (PICTURES[..., 0], r"shape \(24, 64, 64\)"),
        (PICTURES / 255, "float64.*255 [*] X"),
        (PICTURES[..., :2], r"\(64, 64, 2\)"),
        (PICTURES[:0], "0 sample"),
        ([PICTURES[0], "leaf.png"], "item 1 is str"),
        ([None, "leaf.png"], "first item is NoneType, item 1 is str"),
        ("leaf.png", "one path .*list of paths"),
        (list(PICTURES[..., 0]), "list of ndarray.*three channels"),
        ([Image.fromarray(picture) for picture in PICTURES[:2]], r"list of Image.*convert\('RGB'\)"),
        (np.concatenate([PICTURES, PICTURES[..., :1]], axis=-1), r"X\[..., :3\]"),
        (["leaf.png", None], "item 1 is NoneType"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_remedy(given, text):
    """Each wrong form of X is a ValueError that says what pictures are."""
    with pytest.raises(ValueError, match=text):
        PlantClassifier(**PLAIN).fit(given, LABELS[: len(given)])


def test_a_file_that_is_missing_is_named(tmp_path):
    """The path stands in the error."""
    with pytest.raises(ImageReadError, match=r"gone\.png"):
        PlantClassifier(**PLAIN).fit([tmp_path / "gone.png"] * 2, ["a", "b"])


def test_pictures_and_rows_do_not_mix(fitted):
    """Who learned from one is not asked about the other."""
    rows = np.random.default_rng(0).normal(size=(len(LABELS), 3))
    of_rows = PlantClassifier(random_state=0).fit(rows, LABELS)

    with pytest.raises(DataValidationError, match="learned from rows of numbers, but X holds pictures"):
        of_rows.predict(PICTURES)
    with pytest.raises(DataValidationError, match="learned from pictures"):
        fitted.predict(rows)
    with pytest.raises(DataValidationError, match="no network that takes photographs"):
        _ = of_rows.predictor_


def test_a_second_fit_forgets_the_columns_of_the_first():
    """After rows with names come pictures, which have none."""
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(len(LABELS), 2)), columns=["length", "width"])
    estimator = PlantClassifier(**PLAIN).fit(rows, LABELS)
    assert list(estimator.feature_names_in_) == ["length", "width"]

    estimator.fit(PICTURES, LABELS)

    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.where(LABELS == "sick", None, "healthy"), "NaN or None"),
        (np.where(LABELS == "sick", np.nan, 1.0), "NaN"),
        (np.full(len(LABELS), "sick"), r"one class only \('sick'\)"),
        (LABELS[:-1], "inconsistent numbers of samples"),
        (np.linspace(0, 1, len(LABELS)), "Unknown label type"),
        (None, "requires y"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(labels, text):
    """The error says what is wrong with y."""
    with pytest.raises(ValueError, match=text):
        PlantClassifier(**PLAIN).fit(PICTURES, labels)


def test_every_plant_needs_a_name():
    """Plants without a name are not put into one group, and one plant alone cannot be divided."""
    plants = PLANTS.astype(object)
    plants[3] = None
    with pytest.raises(SplitError, match="lacks 1 of 24 values, the first in row 3"):
        PlantClassifier(**PLAIN).fit(PICTURES, LABELS, plants)
    with pytest.raises(SplitError, match="two groups at least"):
        PlantClassifier(**PLAIN).fit(PICTURES, LABELS, ["the only one"] * len(LABELS))
    with pytest.raises(ValueError, match="inconsistent"):
        PlantClassifier(**PLAIN).fit(PICTURES, LABELS, PLANTS[:-1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"adapt": "hed"}, "did you mean 'head'"),
        ({"backbone": "tset_resnet"}, "did you mean 'test_resnet"),
        ({"weights": "imagenet"}, "model.weights='imagenet' is unknown"),
        ({"image_size": 8, "penalty": 0}, "image_size=8 must be.*penalty=0 must be"),
        ({"views": True}, "views=True must be"),
        ({"validation_share": 1.0}, "below 1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"accelerator": "gpux"}, "accelerator='gpux' is unknown; choose one of: auto, cpu"),
        ({"batch_size": "32"}, "batch_size='32' must be a whole number above 1"),
        ({"class_weighting": "fair"}, "class_weighting='fair' is unknown"),
        ({"adapt": "full", "penalty": 1.0}, "for a head alone"),
        ({"random_state": -1}, "between 0 and 2"),
    ],
)
def test_parameters_are_checked_when_fitting(change, text):
    """A parameter that cannot work is named, with what is allowed."""
    with pytest.raises(ValueError, match=text):
        PlantClassifier(**{**PLAIN, **change}).fit(PICTURES, LABELS)


def test_rows_cannot_train_a_network():
    """Rows of numbers are for a head."""
    with pytest.raises(ConfigError, match="X holds rows of numbers"):
        PlantClassifier(adapt="full").fit(np.zeros((4, 2)), [0, 1, 0, 1])
