"""Two models are compared on the same rows, and the difference is judged on the same draws."""

import dataclasses

import numpy as np
import pytest

from factories.predictions import make_classification, make_regression
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.compare import Answers, compare_answers
from phytoscope.schema.comparison import Winner
from phytoscope.schema.table import Split, Task

NAMES = ["healthy", "rust", "scab"]
PLAN = BootstrapPlan(300)


def answer_classes(name="A", **settings):
    table, _, _ = make_classification(NAMES, **settings)
    table["model_id"] = name
    return Answers(name, table, Task.classification, NAMES, "", "class", "split-1")


def answer_weights(name="A", noise=0.1, seed=0, n_per_split=120):
    table, _, _ = make_regression(n_per_split=n_per_split, seed=0)
    rng = np.random.default_rng(seed)
    table["prediction"] = table["target"] * np.exp(rng.normal(0.0, noise, len(table)))
    table["model_id"] = name
    return Answers(name, table, Task.regression, [], "g", "fresh_weight_g", "split-1")


def compare(first, second, **changes):
    return compare_answers(first, second, **{"split": Split.test, "plan": PLAN, **changes})


def test_a_clearly_better_model_wins():
    """Every share is better by the difference of the shares, and its interval lies above 0."""
    first, second = answer_classes("A", n_per_class=60, accuracy=0.7), answer_classes("B", n_per_class=60, seed=1)
    found, _ = compare(first, second)
    metric = found.get_metric("accuracy")
    assert metric.winner is Winner.second
    assert 0 < metric.low < metric.difference < metric.high
    assert metric.difference == pytest.approx(metric.second - metric.first)
    assert (found.n, found.n_groups, found.warnings) == (180, 60, [])
    back, _ = compare(second, first)
    assert back.get_metric("accuracy").winner is Winner.first
    assert (back.first_wins, back.second_wins) == (found.second_wins, found.first_wins)


def test_less_error_is_better():
    """For errors the winner has the smaller number."""
    found, _ = compare(answer_weights("A", noise=0.3), answer_weights("B", noise=0.1, seed=1))
    metric = found.get_metric("rmse")
    assert metric.winner is Winner.second
    assert metric.high < 0
    assert found.get_metric("r2").winner is Winner.second
    assert found.second_wins > found.first_wins


def test_equal_models_are_not_told_apart():
    """A model against itself: differences of 0, nobody wins, no disagreement."""
    answers = answer_weights()
    found, table = compare(answers, dataclasses.replace(answers, name="again"))
    assert all(metric.winner is Winner.unclear for metric in found.metrics)
    assert all(metric.difference == 0 for metric in found.metrics if metric.difference is not None)
    assert (found.first_wins, found.second_wins, len(table)) == (0, 0, 0)
    assert "Both tables come from the same model." in found.warnings


def test_models_of_equal_quality_are_seldom_told_apart():
    """Two draws of the same quality: at 95 % about one pair in twenty may differ."""
    told = 0
    for seed in range(20):
        pair = [answer_classes(str(k), accuracy=0.8, seed=100 + 2 * seed + k, n_per_class=30) for k in (0, 1)]
        told += compare(*pair)[0].get_metric("accuracy").winner is not Winner.unclear
    assert told <= 4


def test_pairing_makes_the_interval_narrower_than_two_intervals():
    """What is hard for both models does not blur their difference."""
    first = answer_weights("A", noise=0.3)
    second = dataclasses.replace(first, name="B", table=first.table.assign(prediction=first.table["prediction"] * 1.02))
    found, _ = compare(first, second)
    metric = found.get_metric("mae")
    alone, _ = compare(first, answer_weights("B", noise=0.3, seed=5))
    assert metric.high - metric.low < 0.2 * (alone.get_metric("mae").high - alone.get_metric("mae").low)


def test_only_images_of_both_are_compared():
    """Those in one table alone are counted and named, and the order of rows does not matter."""
    first, second = answer_classes("A"), answer_classes("B", seed=1)
    test = second.table["split"] == "test"
    kept = second.table[~test | (np.cumsum(test) > 5)].sample(frac=1.0, random_state=0)
    found, _ = compare(first, dataclasses.replace(second, table=kept))
    assert (found.n, found.only_first, found.only_second) == (31, 5, 0)
    assert any("5 photographs stand only in 'A'" in text for text in found.warnings)


def test_wins_are_counted_by_hand():
    """Right and wrong of both models, image by image."""
    first, second = answer_classes("A", accuracy=0.6), answer_classes("B", accuracy=0.7, seed=3)
    found, table = compare(first, second)
    rows = [answers.table[answers.table["split"] == "test"].set_index("sample_id") for answers in (first, second)]
    right = [part["label"] == part["prediction"] for part in rows]
    assert found.first_wins == (right[0] & ~right[1]).sum()
    assert found.second_wins == (right[1] & ~right[0]).sum()
    assert found.both_right == (right[0] & right[1]).sum()
    assert found.both_wrong == (~right[0] & ~right[1]).sum()
    differs = rows[0]["prediction"] != rows[1]["prediction"]
    assert set(table["sample_id"]) == set(differs.index[differs])
    assert found.n_disagreements == len(table) == differs.sum()
    classes = [place for place in found.places if place.what == "class"]
    assert [place.name for place in classes] == NAMES
    assert sum(place.first_wins for place in classes) == found.first_wins
    assert sum(place.n for place in classes) == found.n


def test_who_wins_where_is_found():
    """B is better with one camera only, and only there it is named."""
    first = answer_weights("A", noise=0.2, n_per_split=400)
    phone = np.arange(len(first.table)) // 4 % 2 == 0
    target = first.table["target"]
    better = np.where(phone, target + 0.2 * (first.table["prediction"] - target), first.table["prediction"])
    second = dataclasses.replace(first, name="B", table=first.table.assign(prediction=better))
    first.table["meta/camera"] = np.where(phone, "phone", "slr")
    found, _ = compare(first, second, slices=["camera"])
    winners = {place.name: place.winner for place in found.places if place.what == "camera"}
    assert winners == {"phone": Winner.second, "slr": Winner.unclear}
    groups = [place for place in found.places if place.what == "group"]
    assert groups
    assert all(place.low is None and place.second < place.first for place in groups)


def test_bias_is_better_closer_to_zero():
    """Too low by much is worse than too high by little."""
    first, second = answer_weights("A", noise=0.05), answer_weights("B", noise=0.05)
    first.table["prediction"] -= 0.3
    second.table["prediction"] += 0.1
    metric = compare(first, second)[0].get_metric("bias")
    assert metric.winner is Winner.second
    assert metric.difference == pytest.approx(abs(metric.second) - abs(metric.first))


def test_truths_that_differ_are_refused():
    """The same image with two labels means two versions of the data."""
    first, second = answer_classes("A"), answer_classes("B", seed=1)
    row = second.table.index[second.table["split"] == "test"][0]
    second.table.loc[row, "label"] = "scab"
    with pytest.raises(ArtifactError, match=r"1 of 36 photographs have another truth .*healthy against scab"):
        compare(first, second)
    first, second = answer_weights("A"), answer_weights("B", seed=1)
    second.table["target"] *= 1000
    with pytest.raises(ArtifactError, match="120 of 120 photographs have another truth"):
        compare(first, second)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"unit": "mg"}, "the unit is 'g' in one and 'mg' in the other"),
        ({"target_name": "height"}, "the target is 'fresh_weight_g' in one and 'height'"),
        ({"task": Task.classification}, "is about regression, 'B' about classification"),
    ],
)
def test_different_questions_are_not_compared(changes, text):
    """Grams against milligrams is no comparison."""
    with pytest.raises(ArtifactError, match=text):
        compare(answer_weights("A"), dataclasses.replace(answer_weights("B"), **changes))


def test_other_classes_are_refused_and_another_order_is_not():
    """Classes are known by name."""
    first, second = answer_classes("A"), answer_classes("B", seed=1)
    with pytest.raises(ArtifactError, match=r"different classes \('mildew', 'scab' in one only\)"):
        compare(first, dataclasses.replace(second, class_names=["healthy", "rust", "mildew"]))
    plain, _ = compare(first, second)
    turned, _ = compare(first, dataclasses.replace(second, class_names=NAMES[::-1]))
    assert turned == plain


def test_nothing_in_common_is_said():
    """Both counts stand in the error."""
    second = answer_classes("B")
    second.table["sample_id"] = "other/" + second.table["sample_id"]
    with pytest.raises(ArtifactError, match="no photograph stands in the split 'test' of both \\(36 in 'A', 36 in 'B'"):
        compare(answer_classes("A"), second)
    with pytest.raises(ConfigError, match="names the column 'camera'"):
        compare(answer_classes("A"), answer_classes("B", seed=1), slices=["camera"])


def test_other_splits_and_few_plants_are_warned_of():
    """What makes the comparison weaker stands beside it."""
    first, second = answer_weights("A", n_per_split=20), answer_weights("B", seed=1, n_per_split=20)
    second = dataclasses.replace(second, split_hash="split-2")
    second.table["group_id"] = "other " + second.table["group_id"]
    found, _ = compare(first, second)
    for text in ("Only 5 leaves or plants", "The two runs were split differently", "20 photographs belong to another"):
        assert any(text in warning for warning in found.warnings)
    first.table["group_id"] = "one"
    found, _ = compare(first, second)
    assert all(metric.low is None and metric.winner is Winner.unclear for metric in found.metrics)


def test_without_draws_nobody_wins():
    """Differences alone, no intervals."""
    found, _ = compare(answer_classes("A", accuracy=0.2), answer_classes("B"), plan=BootstrapPlan(0))
    assert all(metric.low is None and metric.winner is Winner.unclear for metric in found.metrics)
    assert all(place.winner is Winner.unclear for place in found.places)


def test_no_group_is_named_where_each_image_is_its_own():
    """A list of single images in which one model is ahead would say nothing about plants."""
    first, second = answer_classes("A", accuracy=0.6), answer_classes("B", seed=1)
    alone = [
        dataclasses.replace(answers, table=answers.table.assign(group_id=answers.table["sample_id"]))
        for answers in (first, second)
    ]
    assert any(place.what == "group" for place in compare(first, second)[0].places)
    assert not any(place.what == "group" for place in compare(*alone)[0].places)
