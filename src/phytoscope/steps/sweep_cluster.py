"""The trials of a sweep on the machines of a cluster; the study stays with the process that started the sweep."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from phytoscope.cluster.jobs import Ask, JobEngine
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.steps.context import RunContext
from phytoscope.steps.job_place import at_work
from phytoscope.steps.prepared import read_prepared
from phytoscope.steps.sweep_plan import SweepPlan
from phytoscope.steps.sweep_trial import (
    TrialOrder,
    TrialOutcome,
    begin_trial,
    keep_best,
    settle_trial,
    train_trial,
    trial_context,
)
from phytoscope.train.sweep.study import number_folder, requeue_trial

_SAY, _REPORT, _PRUNE = "say", "report", "prune"


def work_on_cluster(plan: SweepPlan, jobs: JobEngine, progress: Progress, say: Callable[[str], None]) -> None:
    """Does trials on the machines of a cluster until there are enough or the time is up.

    As many are at work at once as `sweep.n_workers` says when it is above 1, else as `engine.workers` says, else as the
    cluster has room for. One at a time draws the very values that a sweep in this process draws.

    A trial whose worker or machine is lost waits to be done again, from its last checkpoint on; after the third time it
    counts as failed.

    Args:
        plan: The sweep; all machines see its folder under the same path. Its study need not be seen by them.
        jobs: The cluster.
        progress: Told of trials that are finished.
        say: Told sentences for the user.

    Raises:
        ClusterError: The cluster cannot be used, or a machine does not see the folder.
        PhytoscopeError: Something that concerns all trials: weights that cannot be had, a full disk.
        KeyboardInterrupt: The user interrupted; trials at work wait to be done again.
    """
    n_workers = plan.config.sweep.n_workers
    desk = _StudyDesk(plan, plan.open_study(), say)
    progress.start("Sweep on the cluster", None)
    try:
        found = jobs.run(
            partial(do_trial, plan),
            desk.take,
            answer=desk.answer,
            at_once=n_workers if n_workers > 1 else None,
            on_lost=desk.lose,
        )
        # Closed at once, so that workers are interrupted before their trials are given back.
        with contextlib.closing(found):  # type: ignore[type-var]
            for order, outcome in found:
                desk.settle(order, outcome)
                progress.advance()
    finally:
        desk.give_up()
        progress.finish()


def do_trial(plan: SweepPlan, order: TrialOrder, ask: Ask) -> TrialOutcome:
    """Does one trial in a worker of a cluster.

    Args:
        plan: The sweep.
        order: What to try.
        ask: Reaches the process that holds the study.

    Raises:
        ClusterError: This machine does not see the folder of the sweep.
        PhytoscopeError: Something that concerns all trials.
        KeyboardInterrupt: Whoever started the sweep gave up.
    """

    def say(text: str) -> None:
        ask((_SAY, text))

    data = plan.folder.data
    with at_work(plan.folder.trial(order.folder), data.record("prepare")):
        prepared = read_prepared(RunContext(plan.config, data))
        with trial_context(plan, order, SilentProgress(), say) as context:
            return train_trial(plan, order, _FarTrial(ask), prepared, context)


@dataclass(frozen=True)
class _FarTrial:
    """A trial whose study is in another process; what `TrialWatcher` needs of Optuna's."""

    ask: Ask

    def report(self, value: float, step: int) -> None:
        self.ask((_REPORT, value, step))

    def should_prune(self) -> bool:
        return bool(self.ask((_PRUNE,)))


class _StudyDesk:
    """Hands out trials, answers those at work, and tells the study how they ended."""

    def __init__(self, plan: SweepPlan, study: Any, say: Callable[[str], None]) -> None:
        self._plan, self._study, self._say = plan, study, say
        self._trials: dict[int, Any] = {}
        self._locks: dict[int, contextlib.ExitStack] = {}

    def take(self) -> TrialOrder | None:
        with contextlib.ExitStack() as held:
            trial = begin_trial(self._plan, self._study, held, self._say, own=self._trials)
            if trial is None:
                return None
            self._trials[trial.number] = trial
            self._locks[trial.number] = held.pop_all()
        return TrialOrder(trial.number, number_folder(trial), trial.params)

    def answer(self, order: TrialOrder, message: tuple[Any, ...]) -> Any:
        kind, *content = message
        if kind == _SAY:
            self._say(content[0])
            return None
        trial = self._trials[order.number]
        if kind == _REPORT:
            value, step = content
            trial.report(value, step=step)
            return None
        return trial.should_prune()

    def settle(self, order: TrialOrder, outcome: TrialOutcome) -> None:
        def say(text: str) -> None:
            self._say(f"trial {order.number}: {text}")

        settle_trial(self._plan, self._study, self._trials[order.number], outcome, say)
        self._forget(order.number)
        keep_best(self._plan, self._study)

    def lose(self, order: TrialOrder) -> bool:
        requeued = requeue_trial(self._study, self._trials[order.number])
        self._forget(order.number)
        end = "and is taken up again" if requeued else "for the last time"
        self._say(f"trial {order.number} lost its worker {end}")
        # It comes back as another trial of the study.
        return False

    def give_up(self) -> None:
        for number, trial in [*self._trials.items()]:
            requeue_trial(self._study, trial)
            self._forget(number)

    def _forget(self, number: int) -> None:
        del self._trials[number]
        self._locks.pop(number).close()
