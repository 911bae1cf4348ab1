"""Unlabelled images are learned from, but never those that show a plant of val, calibration or test."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from factories.runs import TINY, Sentences, draw_mixed_table
from phytoscope.configs import compose_config
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Split
from phytoscope.steps import RunContext, run_step
from phytoscope.steps.prepared import read_prepared
from phytoscope.steps.pseudo_labels import keep_apart
from phytoscope.steps.train import hash_training_inputs
from phytoscope.train import modes

PLANTS = 24


@pytest.fixture(scope="module")
def prepared_run(tmp_path_factory):
    """A prepared run: every plant has a further photograph without a weight, and there are two new plants."""
    root = tmp_path_factory.mktemp("data")
    words = draw_mixed_table(root, n=2 * PLANTS)
    table = pd.read_csv(root / "table.csv")
    rng = np.random.default_rng(7)
    extra = []
    for plant in range(PLANTS + 2):
        path = root / "images" / f"extra{plant:02}.png"
        Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(path)
        extra.append({"filename": path.name, "plant": plant, "weight": None})
    # A copy of a labelled picture under the name of a new plant.
    shutil.copy(root / "images" / table["filename"][0], root / "images" / "copy.jpg")
    extra.append({"filename": "copy.jpg", "plant": PLANTS + 5, "weight": None})
    pd.concat([table, pd.DataFrame(extra)]).to_csv(root / "table.csv", index=False)
    tiny = [*TINY, "trainer.mode=plain", "model.input_size_px=32", f"paths.cache_dir={root / 'cache'}"]
    place = root / "run"
    words = [*words, *tiny, f"paths.run_dir={place}", "task.pseudo_labels=true", "task.pseudo_threshold=0.5"]
    context = RunContext(compose_config(words), RunFolder(place), say=Sentences())
    run_step(context, "prepare")
    return context


def test_plants_of_other_splits_are_left_out(prepared_run):
    """Kept are photographs of training plants and of plants nobody has weighed; a copy goes where its original is."""
    prepared = read_prepared(prepared_run)
    split_of = prepared.rows.set_index("declared_group_id")["split"].to_dict()
    assert len(prepared.unlabelled) == PLANTS + 3
    for learned_from in ((Split.train,), (Split.train, Split.val, Split.calibration)):
        kept = keep_apart(prepared_run, prepared, learned_from=learned_from).unlabelled
        names = {Path(name).name for name in kept["sample_id"]}
        allowed = {split.value for split in learned_from}
        expected = {
            f"extra{plant:02}.png" for plant in range(PLANTS + 2) if split_of.get(str(plant), "train") in allowed
        }
        if split_of["0"] in allowed:
            expected.add("copy.jpg")
        assert names == expected
        assert len(names) < len(prepared.unlabelled)


def test_training_learns_from_them(prepared_run, monkeypatch):
    """The second network sees labelled images twice and believed ones once; only images that may be used."""
    seen = []

    def watched(job):
        seen.append(job)
        return modes.fit_job(job)

    monkeypatch.setattr("phytoscope.steps.train.fit_job", watched)
    monkeypatch.setattr("phytoscope.steps.pseudo_labels.fit_job", watched)
    run_step(prepared_run, "train")
    teacher, student = seen
    prepared = read_prepared(prepared_run)
    usable = keep_apart(prepared_run, prepared, learned_from=(Split.train,)).unlabelled
    n = len(prepared.of(Split.train))
    believed = len(usable) // 2
    assert (len(teacher.train), len(student.train)) == (n, 2 * n + believed)
    assert set(student.train.sha256[2 * n :]) <= set(usable["sha256"])
    assert not set(student.train.sha256) & set(prepared.rows.loc[prepared.rows["split"] != "train", "sha256"])
    assert np.isfinite(student.train.target).all()
    assert student.meaning == teacher.meaning
    assert any(f"{believed} of {len(usable)} answers are believed" in line for line in prepared_run.say.said)
    assert not (prepared_run.run.checkpoints / "teacher").exists()


def test_new_unlabelled_images_train_anew(prepared_run):
    """What is learned from is part of what the weights depend on, and only when it is asked for."""
    prepared = read_prepared(prepared_run)
    fewer = prepared.unlabelled.iloc[:-1]
    off = compose_config([*prepared_run.config.overrides, "task.pseudo_labels=false"])
    changed = dataclasses.replace(prepared, unlabelled=fewer)
    assert hash_training_inputs(prepared_run.config, prepared) != hash_training_inputs(prepared_run.config, changed)
    assert hash_training_inputs(off, prepared) == hash_training_inputs(off, changed)
