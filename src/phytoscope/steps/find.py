"""Finders on the prepared data of a run; the run itself stays as it is."""

import dataclasses
from pathlib import Path

import pandas as pd

from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.table import Split
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.prepared import open_cache, read_prepared
from phytoscope.steps.row_engine import with_engine
from phytoscope.steps.run_log import RunLog, log_said
from phytoscope.steps.training_job import build_job, fit_preprocess
from phytoscope.storage.mirror import kept_folder
from phytoscope.train.find.batch_size import BatchTrial, try_batch_sizes
from phytoscope.train.find.learning_rate import RateTest, try_learning_rates
from phytoscope.train.job import TrainingJob
from phytoscope.visualize.finders import plot_learning_rates
from phytoscope.visualize.style import save_figures


def find_learning_rate(context: RunContext, *, steps: int = 100) -> tuple[RateTest, Path]:
    """Makes a learning-rate range test on a copy of what would be trained.

    Prepares the data when nobody has; writes `find/learning_rate.png`, `.pdf` and `.csv` into the folder of the run.

    Args:
        context: Settings and folder.
        steps: Steps at most.

    Returns:
        What the test has seen, and its figure.

    Raises:
        PhytoscopeError: Anything the user can mend.
    """
    with kept_folder(context.run.root, context.say), context.run.locked(), RunLog(context.run):
        context = dataclasses.replace(context, say=log_said(context.say))
        job = _build_job(context)
        found = try_learning_rates(job, steps=steps)
        folder = context.run.root / "find"
        table = pd.DataFrame({"learning_rate": found.rates, "loss": found.losses, "smoothed": found.smoothed})
        with write_atomic(folder / "learning_rate.csv") as temporary:
            table.to_csv(temporary, index=False)
        chosen = context.config.trainer.learning_rate
        figure = plot_learning_rates(
            found.rates, found.losses, found.smoothed, suggestion=found.suggestion, chosen=chosen
        )
        return found, save_figures({"learning_rate": figure}, folder)["learning_rate"]


def find_batch_size(context: RunContext) -> tuple[list[BatchTrial], int]:
    """Times training steps at several batch sizes, on a copy of what would be trained.

    Args:
        context: Settings and folder; the data are prepared when nobody has.

    Returns:
        What was tried, and a suggestion.

    Raises:
        PhytoscopeError: Anything the user can mend.
    """
    with kept_folder(context.run.root, context.say), context.run.locked(), RunLog(context.run):
        context = dataclasses.replace(context, say=log_said(context.say))
        return try_batch_sizes(_build_job(context))


def _build_job(context: RunContext) -> TrainingJob:
    with with_engine(context) as working:
        run_prepare(working)
        prepared = read_prepared(working)
        train, val = prepared.of(Split.train), prepared.of(Split.val)
        preprocess = fit_preprocess(context.config, train)
        cache = open_cache(working, prepared, preprocess)
        job, _ = build_job(working, train, val, cache, preprocess, unit=prepared.unit)
    # Steps are tried on this machine.
    return dataclasses.replace(job, engine=None)
