"""A training that is only profiled, beside the run it is about."""

import dataclasses
import shutil

from phytoscope.errors import storage_error
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.prepared import read_prepared
from phytoscope.steps.train import train_prepared


def profile_training(context: RunContext) -> None:
    """Profiles a training and leaves the settings and the trained network of the run as they are.

    Prepares the data when nobody has; writes `summary.md` and `trace.json.gz` into `profile/` of the run.

    Args:
        context: Settings with `trainer.profile=true`, and folder.

    Raises:
        PhytoscopeError: Weights cannot be had, the loss is not finite, the disk is full.
    """
    if not context.run.record("prepare").exists():
        run_prepare(context)
    place = context.run.root / "profile"
    scratch = RunFolder(place / "training")

    def say(text: str) -> None:
        # What is said of the files must be true after they were moved.
        context.say(text.replace(str(scratch.root / "profile"), str(place)))

    try:
        shutil.rmtree(scratch.root, ignore_errors=True)
        train_prepared(dataclasses.replace(context, run=scratch, say=say), read_prepared(context))
        for path in sorted((scratch.root / "profile").glob("*")):
            path.replace(place / path.name)
    except OSError as error:
        raise storage_error(place, error) from error
    finally:
        shutil.rmtree(scratch.root, ignore_errors=True)
