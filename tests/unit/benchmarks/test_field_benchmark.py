"""The numbers of the field benchmark, on tables whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.field import (
    FIELD,
    RECIPES,
    Score,
    balanced_accuracy,
    changed_parts,
    count_answered,
    halve,
    score_run,
    tabulate,
    take_some,
)
from phytoscope.configs import compose_config
from phytoscope.schema.choices import AugmentPreset, ResizeMode, Sampling
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps import training_job
from phytoscope.transforms.backgrounds import NO_BACKGROUNDS


def test_balanced_accuracy_counts_each_class_once():
    """Nine right of ten in one class and none of one in the other is 45 %."""
    truth = np.array(["a"] * 10 + ["b"])
    assert balanced_accuracy(np.array(["a"] * 9 + ["b"] + ["a"]), truth) == pytest.approx(0.45)


def test_answered_goes_as_far_as_the_error_allows():
    """A wrong answer among the surest is made up for by right ones after it."""
    confidence = np.linspace(1, 0, 12)
    is_right = np.array([True, False] + [True] * 8 + [False, False])
    assert count_answered(confidence, is_right, 0.1) == 10
    assert count_answered(confidence, is_right, 0.0) == 1
    assert count_answered(confidence, ~np.ones(12, bool), 0.1) == 0
    assert count_answered(confidence, np.ones(12, bool), 0.1) == 12


def test_halves_hold_each_class_equally():
    """Neither half knows the other's photographs."""
    truth = np.array([*"ababab", "a", "b"])
    assert np.unique(truth[halve(truth)], return_counts=True)[1].tolist() == [2, 2]


def test_scores_of_known_answers(tmp_path):
    """Free answers may be any class, restricted ones only those that occur in the orchard."""
    run = RunFolder(tmp_path)
    run.external.mkdir(parents=True)
    probs = {"prob/a": [0.3, 0.3, 0.1, 0.1], "prob/b": [0.2, 0.1, 0.2, 0.9], "prob/c": [0.5, 0.6, 0.7, 0.0]}
    field = {"sample_id": list("wxyz"), "label": ["a", "a", "b", "b"], **probs}
    pd.DataFrame(field).to_parquet(run.external / f"{FIELD}.parquet")
    test = {"split": ["test"] * 2 + ["val"], "label": ["a", "b", "b"], "prediction": ["a", "a", "a"]}
    pd.DataFrame(test).to_parquet(run.answers)
    score = score_run("plain", run, 1.0)
    assert (score.laboratory, score.free, score.restricted) == (0.5, 0.25, 1.0)
    assert (score.half_a, score.half_b) == ((0.0, 1.0), (0.5, 1.0))
    assert (score.answered, score.photographs) == (1, 4)
    assert "| 0.500 | 0.250 | 1.000 | 0.00 / 1.00 | 0.50 / 1.00 | 1 of 4 | 1 s |" in tabulate([score])


def test_every_recipe_composes_and_has_its_own_name():
    """Settings of the table are settings that exist."""
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    for recipe in RECIPES:
        config = compose_config(["data=plantvillage", "data.root=x", *recipe.words])
        assert (config.data.augment is AugmentPreset.field) == (recipe.name not in ("plain", "plain_norm", "crop"))
        assert not recipe.trained_as or recipe.trained_as in {other.name for other in RECIPES}
        assert isinstance(tabulate([Score(recipe.name, 0, 0, 0, (0, 0), (0, 0), 0, 0, 0)]), str)


def test_field_ready_is_what_the_guide_says():
    """Centre crop, other backgrounds and light, every class equally often; the rest stays the user's."""
    config = compose_config(["data=plantvillage", "data.root=x", "experiment=field_ready", "adapt=lora"])
    assert (config.data.augment, config.data.resize) == (AugmentPreset.field, ResizeMode.crop)
    assert config.task.sampling is Sampling.balanced
    assert config.adapt.kind.value == "lora"


def test_parts_are_changed_for_one_recipe_alone():
    """The ablation leaves the program as it was."""
    before = training_job.build_augmentation
    recipe = next(recipe for recipe in RECIPES if recipe.name == "light")
    with changed_parts(recipe):
        made = training_job.build_augmentation(AugmentPreset.field, size_px=32, seed=0, backgrounds=NO_BACKGROUNDS)
    assert (made.replaced, made.relit) == (0.0, 0.5)
    assert training_job.build_augmentation is before


def test_some_images_are_links(tmp_path):
    """A search takes the first images of each class and copies nothing."""
    for name in ("A___x", "B___y"):
        (tmp_path / "data" / "plantvillage" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "data" / "plantvillage" / name / f"{number}.jpg").write_bytes(b"x")
    (tmp_path / "data" / "plantvillage" / "leaf-map.json").write_text("{}")
    (tmp_path / "data" / "apple_field").mkdir()
    for _ in range(2):
        some = take_some(tmp_path / "data", 3, tmp_path / "out")
    found = sorted(path.relative_to(some).as_posix() for path in some.rglob("*.jpg"))
    assert len(found) == 6
    assert all((some / path).is_symlink() for path in found)
