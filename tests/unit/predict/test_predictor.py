"""Path, bytes or pixels in, one answer out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from factories.packages import make_package
from factories.trust import make_trust
from phytoscope.errors import ImageReadError
from phytoscope.predict.prediction_table import predict_table
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task
from phytoscope.transforms.decode import read_image
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.views import turn_images


def test_path_text_bytes_and_pixels_give_one_answer(predictor, photo) -> None:
    """However the image is handed over, the answer is the same."""
    path = photo("leaf.png")
    answers = [
        predictor.predict(source, name=str(path))
        for source in (path, str(path), path.read_bytes(), read_image(path, max_megapixels=10))
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].path == str(path)


def test_probabilities(classifier, photo) -> None:
    """They sum to 1, stand in the model's order, and the answer is the largest."""
    answer = classifier.predict(photo("leaf.png"))
    assert list(answer.probabilities) == classifier.description.class_names
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probabilities[answer.label] == answer.probability == max(answer.probabilities.values())
    assert answer.value is None
    count = len(classifier.description.class_names)
    assert repr(classifier).startswith(f"Predictor({classifier.description.name!r}, {count} classes, model: ")


@pytest.mark.parametrize("predictor", [Task.regression], indirect=True)
def test_value(predictor, photo) -> None:
    """A number in the user's unit, not below what is possible."""
    answer = predictor.predict(photo("plant.png"))
    assert (answer.unit, answer.label) == ("g", None)
    assert answer.value >= 0
    assert predictor.finish(np.array([[-1e3]]))[0, 0] == 0.0
    assert " (g), model: " in repr(predictor)


def test_large_logits_do_not_overflow(classifier) -> None:
    """Probabilities stay finite whatever the network says."""
    probs = classifier.finish(np.array([[1e4, 0.0, -1e4]]))
    np.testing.assert_allclose(probs, [[1, 0, 0]])


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_wrong_pixels_are_refused(predictor, pixels) -> None:
    """Only uint8 pixels of three channels are an image."""
    with pytest.raises(ImageReadError, match=r"expected uint8 pixels of shape \(H, W, 3\)"):
        predictor.predict(pixels)


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_broken_bytes_are_named(predictor, content) -> None:
    """The error carries the name that was given."""
    with pytest.raises(ImageReadError, match="'upload 7'"):
        predictor.predict(content, name="upload 7")


def test_network_rests(predictor, photo) -> None:
    """Answering changes nothing in the network, and needs no gradients."""
    before = {name: value.clone() for name, value in predictor.network.state_dict().items()}
    predictor.predict(photo("leaf.png"))
    assert not predictor.network.training
    assert all(torch.equal(value, before[name]) for name, value in predictor.network.state_dict().items())


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_table_equals_single_answers(predictor, batch_size) -> None:
    """Rows come in the order that was asked for, whatever the batch, one picture as often as it is named."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    rows = np.array([5, 0, 3, 3, 1])
    table = predict_table(predictor, pixels, rows, batch_size=batch_size, progress=SilentProgress())
    for position, row in enumerate(rows):
        (answer,) = predictor.answer(["x"], [Photo(pixels[row], 32, 32)])
        if answer.value is None:
            assert table["prediction"][position] == answer.label
            assert table["probability"][position] == pytest.approx(answer.probability, abs=1e-6)
            assert table[f"prob/{answer.label}"][position] == pytest.approx(answer.probability, abs=1e-6)
        else:
            assert table["prediction"][position] == pytest.approx(answer.value, rel=1e-5)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_views_are_averaged(predictor, views) -> None:
    """The answer is the mean of those to the turned and mirrored images; novelty and photograph are of the image."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    each = [predictor.predict_pixels(turn_images(pixels, view)) for view in range(views)]
    once = predictor.observe(pixels)
    predictor.description = replace(predictor.description, views=views)
    observed = predictor.observe(pixels)
    np.testing.assert_allclose(observed.answers, np.mean(each, axis=0), rtol=1e-6)
    assert np.abs(observed.answers - once.answers).max() > 1e-6
    assert all(np.array_equal(observed.photo[name], once.photo[name]) for name in once.photo)


def test_engine_may_bring_its_own_judgement(tmp_path) -> None:
    """Answers in 8 bits are judged by their own thresholds; an engine that brings none leaves them as they are."""
    predictor = make_package(tmp_path / "package")
    before, novelty, own = predictor.trust, predictor.novelty, make_trust(Task.classification, least=0.5)
    predictor.use(predictor.engine)
    assert (predictor.trust, predictor.novelty) == (before, novelty)
    predictor.use(predictor.engine, own)
    assert (predictor.trust, predictor.novelty) == (own, None)
