"""The trials of a sweep in several processes of this machine, which share its storage."""

import multiprocessing
import queue
from collections.abc import Callable
from typing import Any

from phytoscope.errors import PhytoscopeError, TrainingError
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.steps.sweep_plan import SweepPlan
from phytoscope.steps.sweep_trial import work_trials


def work_in_processes(plan: SweepPlan, progress: Progress, say: Callable[[str], None]) -> None:
    """Does the trials in `sweep.n_workers` processes that share the storage.

    Raises:
        TrainingError: A worker ended with an error; the others have finished their trials.
        KeyboardInterrupt: The user interrupted; trials at work wait to be done again.
    """
    # A forked child would inherit threads of torch in the middle of their work.
    spawn = multiprocessing.get_context("spawn")
    sentences: Any = spawn.Queue()
    workers = [spawn.Process(target=_work_alone, args=(plan, sentences)) for _ in range(plan.config.sweep.n_workers)]
    for worker in workers:
        worker.start()
    progress.start(f"Sweep in {len(workers)} processes", None)
    faults: list[str] = []
    try:
        while any(worker.is_alive() for worker in workers):
            _pass_on(sentences, say, faults, seconds=0.5)
    finally:
        for worker in workers:
            worker.join()
        _pass_on(sentences, say, faults, seconds=0.1)
        progress.finish()
    faults += [
        f"a worker ended with exit code {worker.exitcode}" for worker in workers if worker.exitcode not in (0, None)
    ]
    if faults:
        message = f"the sweep is not finished: {faults[0]} The same command continues it."
        raise TrainingError(message)


def _pass_on(sentences: Any, say: Callable[[str], None], faults: list[str], *, seconds: float) -> None:
    while True:
        try:
            kind, text = sentences.get(timeout=seconds)
        except (queue.Empty, EOFError, OSError):
            return
        if kind == "fault":
            faults.append(text)
        else:
            say(text)


def _work_alone(plan: SweepPlan, sentences: Any) -> None:
    try:
        work_trials(plan, SilentProgress(), lambda text: sentences.put(("say", text)))
    except KeyboardInterrupt:
        # The parent was interrupted too and says so.
        return
    except PhytoscopeError as error:
        sentences.put(("fault", str(error)))
