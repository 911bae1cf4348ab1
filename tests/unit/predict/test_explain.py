"""Explanations find lesions of known place, betray a model that looks at the background, and are themselves tested."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest
import torch

from factories.colour_net import CELL, SIDE, draw_leaf, make_colour_predictor
from phytoscope.errors import ConfigError, MissingDependencyError
from phytoscope.models.covariates import Covariate, CovariateEncoder
from phytoscope.models.ensemble import NetworkEnsemble
from phytoscope.models.network import BackboneInput, PlantNetwork
from phytoscope.predict.explain import Explainer, explain_images, measure_outside
from phytoscope.predict.heat_test import RANDOM_MAPS, STEPS, measure_heat
from phytoscope.schema.choices import CalibrationKind
from phytoscope.schema.explanation import ExplanationMethod
from phytoscope.schema.table import Task
from phytoscope.trust.calibration import Calibration
from phytoscope.trust.trust import Trust

CAMS = [
    ExplanationMethod.grad_cam,
    ExplanationMethod.hires_cam,
    ExplanationMethod.layer_cam,
    ExplanationMethod.eigen_cam,
]


def share_near(heat: np.ndarray, spot: np.ndarray) -> float:
    """Share of the heat within one place of the map around the lesion."""
    kernel = np.ones((2 * CELL + 1, 2 * CELL + 1), np.uint8)
    return float(heat[cv2.dilate(spot.astype(np.uint8), kernel) > 0].sum() / heat.sum())


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("lesion", [(40, 36), (22, 27), (46, 40)])
def test_heat_lies_on_the_lesion(method, lesion) -> None:
    """The network reacts to the colour of the lesion alone, so nearly all heat is there, wherever it is."""
    pixels, _, spot = draw_leaf(lesion)
    (found,) = explain_images(make_colour_predictor("lesion"), pixels[None], method=method, test=False)
    assert found.explained == "sick"
    assert share_near(found.heat, spot) > 0.95
    # Each place of a map spread evenly would leave it with the lesion's share of the picture.
    assert share_near(np.ones_like(found.heat), spot) < 0.35
    assert found.outside_plant < 0.02
    assert not found.looks_outside


def test_model_that_looks_at_the_background_is_found_out() -> None:
    """Most of its heat lies off the plant, and the explanation says so."""
    pixels, leaf, _ = draw_leaf()
    (found,) = explain_images(make_colour_predictor("background"), pixels[None], test=False)
    assert found.outside_plant > 0.6
    assert found.looks_outside
    assert found.plant_share == pytest.approx(leaf.mean(), abs=0.03)


def test_number_is_explained() -> None:
    """What makes the number large is the lesion, and the test is in the number's own unit."""
    pixels, _, spot = draw_leaf()
    predictor = make_colour_predictor("lesion", Task.regression)
    (found,) = explain_images(predictor, pixels[None])
    assert found.explained == "spots"
    assert share_near(found.heat, spot) > 0.95
    value = float(predictor.predict_pixels(pixels[None])[0, 0])
    assert found.test.deletion < found.test.random_deletion < found.test.random_insertion < found.test.insertion < value


def test_nothing_speaks_for_an_answer_without_evidence() -> None:
    """A healthy leaf is healthy because there is nothing: no heat, no share, no test instead of made-up numbers."""
    pixels, _, _ = draw_leaf(radius=0)
    (found,) = explain_images(make_colour_predictor("lesion"), pixels[None])
    assert found.explained == "healthy"
    assert not found.heat.any()
    assert (found.outside_plant, found.test) == (None, None)


def test_ensemble_shows_the_mean_of_its_members() -> None:
    """One member looks at the lesion, the other at the background: half of the heat each."""
    pixels, _, _ = draw_leaf()
    both = make_colour_predictor(("lesion", "background"), members=2)
    assert isinstance(both.network, NetworkEnsemble)
    maps = [
        explain_images(make_colour_predictor(each), pixels[None], test=False)[0].heat
        for each in ("lesion", "background")
    ]
    (found,) = explain_images(both, pixels[None], test=False)
    mean = (maps[0] + maps[1]) / 2
    np.testing.assert_allclose(found.heat, mean / mean.max(), atol=1e-6)


def test_explained_class_is_the_one_that_is_said() -> None:
    """Calibration by class may change the answer; the explanation follows it."""
    pixels, _, _ = draw_leaf()
    predictor = make_colour_predictor("lesion")
    vector = Calibration(CalibrationKind.vector, (1.0, 1.0), (9.0, 0.0))
    predictor.trust = Trust(Task.classification, calibration=vector)
    (found,) = explain_images(predictor, pixels[None], test=False)
    assert (
        found.explained
        == predictor.description.class_names[int(vector.apply(predictor.predict_pixels(pixels[None])).argmax())]
    )


def test_predictor_stays_as_it_is() -> None:
    """Explaining works on a copy: same answers, same parameters, no hooks."""
    pixels = np.stack([draw_leaf(seed=seed)[0] for seed in range(3)])
    predictor = make_colour_predictor("lesion")
    before = predictor.predict_pixels(pixels)
    explain_images(predictor, pixels)
    assert np.array_equal(predictor.predict_pixels(pixels), before)
    assert all(each.requires_grad and each.grad is None for each in predictor.network.parameters())
    assert not any(module._forward_hooks for module in predictor.network.modules())


def test_batches_do_not_matter() -> None:
    """Each image is explained alone, whatever stands beside it; seed 0 is a seed."""
    pixels = np.stack([draw_leaf((22 + seed, 27), seed=seed)[0] for seed in range(17)])
    explainer = Explainer(make_colour_predictor("lesion"))
    together, alone = explainer.explain(pixels, seed=0), explainer.explain(pixels[16:], seed=0)[0]
    np.testing.assert_allclose(together[16].heat, alone.heat, atol=1e-5)
    assert together[16].test.deletion == pytest.approx(alone.test.deletion, abs=1e-6)


def test_missing_package_is_named(monkeypatch) -> None:
    """Without the extra there is an error that says how to get it."""
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(MissingDependencyError, match=r"phytoscope\[explain\]"):
        Explainer(make_colour_predictor())


def test_method_that_does_not_fit_is_refused() -> None:
    """Roll-out needs attention."""
    with pytest.raises(ConfigError, match="attention_rollout needs a plain vision transformer"):
        Explainer(make_colour_predictor(), ExplanationMethod.attention_rollout)


def test_outside_is_the_share_beside_the_widened_plant() -> None:
    """Heat within half a place of the plant counts as on it, because the map cannot be finer."""
    heat, mask = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), bool)
    mask[20:40, 20:40] = True
    heat[30, 30] = heat[30, 43] = heat[30, 60] = heat[5, 5] = 1.0
    assert measure_outside(heat, mask, side=8) == pytest.approx(0.5)
    assert measure_outside(heat, mask, side=64) == pytest.approx(0.75)
    assert measure_outside(heat, np.zeros_like(mask), side=8) is None
    assert measure_outside(np.zeros_like(heat), mask, side=8) is None


def _amount_of_lesion(squares: np.ndarray) -> np.ndarray:
    return np.clip((squares[..., 0].astype(float) - squares[..., 1] - 30) / 30, 0, 1).mean(axis=(1, 2))


def test_perfect_map_is_better_than_random_and_its_opposite_is_not() -> None:
    """The true place of the lesion passes the test; the same map turned around fails it."""
    pixels, _, spot = draw_leaf()
    perfect = measure_heat(pixels, spot.astype(np.float32), _amount_of_lesion, seed=0)
    wrong = measure_heat(pixels, 1 - spot.astype(np.float32), _amount_of_lesion, seed=0)
    assert perfect.better_than_random
    assert not wrong.better_than_random
    whole = float(_amount_of_lesion(pixels[None])[0])
    # The lesion goes, or comes back, in the first of twelve steps: what is left is half a step at either end.
    assert perfect.deletion < whole / STEPS
    assert perfect.insertion > whole * (1 - 1 / STEPS)


def test_areas_are_those_of_a_plain_loop() -> None:
    """The same areas result when the pictures are made one after the other."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    heat = rng.random((24, 24)).astype(np.float32)
    blurred = cv2.GaussianBlur(pixels, (0, 0), 0.08 * 24, borderType=cv2.BORDER_REPLICATE)
    order = np.argsort(-heat.ravel(), kind="stable")
    areas = []
    for start, end in ((pixels, blurred), (blurred, pixels)):
        values = []
        for step in range(STEPS + 1):
            square = start.reshape(-1, 3).copy()
            chosen = order[: step * heat.size // STEPS]
            square[chosen] = end.reshape(-1, 3)[chosen]
            values.append(_amount_of_lesion(square.reshape(1, 24, 24, 3))[0])
        areas.append(np.trapezoid(values, dx=1 / STEPS))
    found = measure_heat(pixels, heat, _amount_of_lesion, seed=0)
    assert [found.deletion, found.insertion] == pytest.approx(areas)


def test_answers_that_are_no_numbers_are_not_averaged() -> None:
    """A network that breaks on blurred pictures leaves its maps untested."""
    pixels, _, spot = draw_leaf()
    assert measure_heat(pixels, spot.astype(np.float32), lambda squares: np.full(len(squares), np.nan), seed=0) is None


def test_random_maps_are_not_better_than_random() -> None:
    """The test has no favourite: maps drawn by chance pass about every second time."""
    pixels, _, _ = draw_leaf()
    rng = np.random.default_rng(0)
    passed = 0
    for seed in range(60):
        heat = cv2.resize(rng.random((7, 7)).astype(np.float32), (SIDE, SIDE))
        passed += measure_heat(pixels, heat, _amount_of_lesion, seed=seed).better_than_random
    assert 15 <= passed <= 45
    assert RANDOM_MAPS >= 2


def test_covariates_take_part() -> None:
    """What is known beside each image decides with the network what is explained; what is unknown is missing."""
    pixels, _, spot = draw_leaf()
    encoder = CovariateEncoder((Covariate("age_days", mean=10.0, std=4.0),))
    explainer = Explainer(make_colour_predictor("lesion", encoder=encoder))
    known = np.concatenate([encoder.encode(encoder.read_values({"age_days": age})) for age in (2, 40)])
    young, old = explainer.explain(np.stack([pixels, pixels]), known, test=False)
    assert (young.explained, old.explained) == ("healthy", "sick")
    assert share_near(old.heat, spot) > 0.95
    assert explainer.explain(pixels[None], test=False)[0].explained == "sick"


def test_member_that_does_not_know_the_class_says_nothing() -> None:
    """The map of an ensemble is that of the members that have learned the class that is said."""
    pixels, _, _ = draw_leaf()
    both = make_colour_predictor(("lesion", "background"), members=2)
    explainer = Explainer(both)
    knows, other = explainer._members
    meaning = dataclasses.replace(other.meaning, class_names=("healthy", "wilted"))
    explainer._members = [knows, dataclasses.replace(other, meaning=meaning)]
    alone = explain_images(make_colour_predictor("lesion"), pixels[None], test=False)[0]
    (found,) = explainer.explain(pixels[None], test=False)
    assert found.explained == alone.explained == "sick"
    np.testing.assert_allclose(found.heat, alone.heat, atol=1e-6)


def test_network_of_another_kind_is_refused() -> None:
    """What has no map that is known cannot be explained, and the sentence says what to do."""
    predictor = make_colour_predictor()
    predictor.network = torch.nn.Identity()
    with pytest.raises(ConfigError, match="of the kind Identity cannot be explained: take another model"):
        Explainer(predictor)


def test_attention_is_rolled_out() -> None:
    """A vision transformer is explained by its own attention, one map a picture."""
    predictor = make_colour_predictor()
    predictor.network = PlantNetwork("test_vit", 2, 0.0, BackboneInput(160, (0.5,) * 3, (0.2,) * 3, "bicubic", 1.0))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    found = Explainer(predictor, ExplanationMethod.attention_rollout).explain(pixels, test=False)
    assert [each.method for each in found] == [ExplanationMethod.attention_rollout] * 2
    assert all(each.heat.shape == (160, 160) and each.heat.max() == pytest.approx(1.0) for each in found)
