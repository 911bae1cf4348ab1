"""The arrows of the data flow, in order, as functions over a run folder.

Each step writes its artefacts whole or not at all, records the hash of what it was made from, and is skipped when
nothing it depends on has changed.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import STEPS
from phytoscope.steps.context import RunContext, choose_run_folder, read_report
from phytoscope.steps.row_engine import with_engine
from phytoscope.steps.run_log import RunLog, log_said
from phytoscope.steps.tracking import tracked
from phytoscope.storage.mirror import kept_folder

__all__ = ["RunContext", "choose_run_folder", "read_report", "run_all", "run_step"]


def run_all(context: RunContext) -> EvaluationReport:
    """Takes the data the whole way: prepare, train, evaluate, package. Finished steps are skipped.

    Raises:
        PhytoscopeError: Anything the user can mend; what was finished is kept.
    """
    _end_after_following(context, "train")
    with _working(context) as working:
        for name in STEPS:
            _check_further_sets(working, name)
            _find_step(name)(working)
    return read_report(context.run)


def run_step(context: RunContext, name: str) -> None:
    """Takes one step alone.

    Args:
        context: Settings and folder.
        name: `prepare`, `train`, `evaluate` or `package`; a training with `trainer.profile=true` is made beside the
            run, which stays as it is.

    Raises:
        ArtifactError: An earlier step is missing, or was made with other settings.
        PhytoscopeError: Anything else the user can mend.
    """
    _end_after_following(context, name)
    with _working(context) as working:
        if name == "train" and context.config.trainer.profile:
            import_module("phytoscope.steps.profile").profile_training(working)
        else:
            _check_further_sets(working, name)
            _find_step(name)(working)


@contextlib.contextmanager
def _working(context: RunContext) -> Iterator[RunContext]:
    log_kept = dataclasses.replace(context, say=log_said(context.say))
    kept = kept_folder(context.run.root, context.say)
    with kept, context.run.locked(), RunLog(context.run), tracked(log_kept) as told, with_engine(told) as working:
        yield working


def _check_further_sets(context: RunContext, name: str) -> None:
    # A wrong folder is told before hours of training; their classes are known once the data are prepared.
    if name in ("prepare", "train") and context.config.evaluate.external:
        prepared = context.run if name == "train" else None
        import_module("phytoscope.steps.external_classes").check_external(context.config, prepared)


def _end_after_following(context: RunContext, name: str) -> None:
    # torchrun and SLURM run the same command once for each device. Only the first process takes the steps; the others
    # train with it, and then have nothing to answer.
    trainer = context.config.trainer
    if trainer.devices * trainer.num_nodes == 1:
        return
    from phytoscope.train.devices import find_rank, is_divided

    if is_divided(trainer, os.environ) and find_rank(os.environ)[0] > 0:
        if name == "train":
            import_module("phytoscope.steps.ranks").follow(context)
        sys.exit(0)


def _find_step(name: str) -> Callable[[RunContext], None]:
    # Only the later steps need torch, whose import takes seconds.
    step: Callable[[RunContext], None] = getattr(import_module(f"phytoscope.steps.{name}"), f"run_{name}")
    return step
