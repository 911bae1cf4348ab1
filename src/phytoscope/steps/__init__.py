"""The arrows of the data flow, in order, as functions over a run folder.

Each step writes its artefacts whole or not at all, records the hash of what it was made from, and is skipped when
nothing it depends on has changed.
"""

from phytoscope.schema.report import EvaluationReport
from phytoscope.steps.context import RunContext, choose_run_folder, read_report
from phytoscope.steps.evaluate import run_evaluate
from phytoscope.steps.package import run_package
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.train import run_train

__all__ = ["RunContext", "choose_run_folder", "read_report", "run_all", "run_step"]


def run_all(context: RunContext) -> EvaluationReport:
    """Takes the data the whole way: prepare, train, evaluate, package. Finished steps are skipped.

    Raises:
        PhytoscopeError: Anything the user can mend; what was finished is kept.
    """
    with context.run.locked():
        for step in (run_prepare, run_train, run_evaluate, run_package):
            step(context)
    return read_report(context.run)


def run_step(context: RunContext, name: str) -> None:
    """Takes one step alone.

    Args:
        context: Settings and folder.
        name: `prepare`, `train`, `evaluate` or `package`.

    Raises:
        ArtifactError: An earlier step is missing, or was made with other settings.
        PhytoscopeError: Anything else the user can mend.
    """
    steps = {"prepare": run_prepare, "train": run_train, "evaluate": run_evaluate, "package": run_package}
    with context.run.locked():
        steps[name](context)
