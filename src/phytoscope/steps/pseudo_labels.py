"""Images without an answer that may be learned from, and the training that answers them first."""

import dataclasses
import shutil

import numpy as np
import pandas as pd

from phytoscope.data.copies.duplicates import add_duplicate_ids
from phytoscope.data.copies.groups import join_groups
from phytoscope.data.datamodule import Samples
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.errors import storage_error
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, PATH, SAMPLE_ID, SHA256, SPLIT, Split
from phytoscope.steps.context import RunContext
from phytoscope.steps.look import find_cache_folder
from phytoscope.steps.prepared import DECLARED_GROUP, PreparedData, open_cache
from phytoscope.steps.training_job import build_job, read_columns
from phytoscope.train.job import TrainingJob
from phytoscope.train.modes import fit_job
from phytoscope.train.pseudo_labels import add_believed, believe_answers
from phytoscope.train.scales.meanings import settle_meaning
from phytoscope.transforms.preprocess import Preprocess

_TEACHER = "teacher"
_LINKING = [SAMPLE_ID, PATH, SHA256, GROUP_ID]


def keep_apart(context: RunContext, prepared: PreparedData, *, learned_from: tuple[Split, ...]) -> PreparedData:
    """Leaves out the unlabelled images that hang together with images nobody may learn from.

    A photograph of a test plant without a label would show the network that plant. Left out is what was declared to
    belong to such a plant or leaf, what is a copy of such a picture, and what is linked to one through others.

    Args:
        context: Settings; `data.split.near_duplicates` says whether pictures that look the same count as copies.
        prepared: The data with their unlabelled images.
        learned_from: Splits that may be learned from.

    Returns:
        The same data with the unlabelled images that may be used.

    Raises:
        StorageError: The folder of facts cannot be written.
    """
    unlabelled = prepared.unlabelled
    if unlabelled.empty:
        return prepared
    config = context.config.data
    labelled = prepared.rows.assign(**{GROUP_ID: prepared.rows[DECLARED_GROUP]})
    linked = pd.concat([labelled[_LINKING], unlabelled[_LINKING]], ignore_index=True)
    facts = read_image_facts(
        list(dict.fromkeys(linked[PATH])),
        find_cache_folder(context) / "facts",
        max_megapixels=config.max_megapixels,
        workers=config.workers,
        progress=context.progress,
        engine=context.engine,
    )
    linked = add_duplicate_ids(linked, facts, near=config.split.near_duplicates, progress=context.progress)
    joined = join_groups(linked)
    names = {split.value for split in learned_from}
    forbidden = set(joined[: len(labelled)][~prepared.rows[SPLIT].isin(names).to_numpy()])
    allowed = ~joined[len(labelled) :].isin(forbidden).to_numpy()
    if not allowed.all():
        context.say(
            f"pseudo-labels: {int((~allowed).sum())} of {len(allowed)} unlabelled images are left out, because they "
            "show plants or pictures of val, calibration or test"
        )
    return dataclasses.replace(prepared, unlabelled=unlabelled[allowed].reset_index(drop=True))


def clear_teacher(run: RunFolder) -> None:
    """Removes the first network, which nobody needs once the second is trained.

    Raises:
        StorageError: The folder cannot be written.
    """
    folder = run.checkpoints / _TEACHER
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def learn_from_unlabelled(
    context: RunContext, prepared: PreparedData, preprocess: Preprocess, job: TrainingJob
) -> TrainingJob:
    """Trains a first network, lets it answer the unlabelled images, and adds those it is sure of.

    The first network is trained in `checkpoints/teacher/`, in the same way and from the same weights as the second.

    Args:
        context: Settings and folder.
        prepared: The data with their unlabelled images.
        preprocess: How images become squares.
        job: The training without these images.

    Returns:
        The training with them; the same when there are none that may be used.

    Raises:
        PhytoscopeError: What a training raises.
    """
    prepared = keep_apart(context, prepared, learned_from=(Split.train,))
    rows = prepared.unlabelled
    if rows.empty:
        context.say("pseudo-labels: there is no unlabelled image that may be learned from")
        return job
    cache = open_cache(
        context, dataclasses.replace(prepared, rows=pd.concat([prepared.rows, rows], ignore_index=True)), preprocess
    )
    teaching = dataclasses.replace(context, run=RunFolder(context.run.checkpoints / _TEACHER))
    train, val = prepared.of(Split.train), prepared.of(Split.val)
    teacher, _ = build_job(teaching, train, val, cache, preprocess, unit=prepared.unit)
    context.say(f"pseudo-labels: a first network is trained, which then answers {len(rows)} unlabelled images")
    fit_job(teacher)
    covariates = np.zeros((0, 0), dtype=np.float32)
    if teacher.meaning.covariates is not None:
        covariates = teacher.meaning.covariates.encode(read_columns(rows))
    unlabelled = Samples(
        cache.pixels,
        cache.rows(rows[SHA256]),
        np.zeros((len(rows), *job.train.target.shape[1:]), dtype=job.train.target.dtype),
        covariates,
        tuple(rows[SHA256].astype(str)),
        tuple(rows[SAMPLE_ID].astype(str)),
        tuple(rows[PATH].astype(str)),
    )
    teacher = dataclasses.replace(teacher, unlabelled=unlabelled)
    believed = believe_answers(teacher, settle_meaning(teacher))
    context.say(
        f"pseudo-labels: {len(believed.positions)} of {len(rows)} answers are believed and learned from, each half as "
        "much as a labelled image"
    )
    if len(believed.positions) == 0:
        return job
    return dataclasses.replace(job, train=add_believed(teacher.train, unlabelled, believed), unlabelled=unlabelled)
