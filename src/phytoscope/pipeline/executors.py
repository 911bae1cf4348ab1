"""Where the steps of one run are done: in its process, in several processes, or each as a job of Kubernetes."""

from collections.abc import Mapping
from enum import StrEnum

import dagster as dg

from phytoscope.errors import ConfigError, require, suggest

EXECUTOR_VARIABLE = "PHYTOSCOPE_EXECUTOR"
"""Environment variable that names the executor, read once when Dagster loads the graph."""
STEPS_VARIABLE = "PHYTOSCOPE_EXECUTOR_STEPS"
"""Environment variable with the most steps of one run that are done at the same time."""


class ExecutorKind(StrEnum):
    """Where the steps of one run are done."""

    in_process = "in_process"
    multiprocess = "multiprocess"
    kubernetes = "kubernetes"


def choose_executor(environment: Mapping[str, str]) -> dg.ExecutorDefinition:
    """The executor that the environment names; without a word of it, steps are done in the process of the run.

    A process for each of twenty steps takes longer than the steps of a small data set. Steps in other processes, or on
    other machines, find what earlier steps made in the workspace, which all of them must reach by the same path.

    Args:
        environment: Environment variables: `PHYTOSCOPE_EXECUTOR` (`in_process`, `multiprocess` or `kubernetes`) and
            `PHYTOSCOPE_EXECUTOR_STEPS`.

    Raises:
        ConfigError: There is no such executor, or the number of steps is none, or it goes with no such executor.
        MissingDependencyError: `kubernetes` needs dagster-k8s.
    """
    name = environment.get(EXECUTOR_VARIABLE, "").strip() or ExecutorKind.in_process.value
    if name not in list(ExecutorKind):
        message = f"{EXECUTOR_VARIABLE}={name!r} is no executor; {suggest(name, list(ExecutorKind))}"
        raise ConfigError(message)
    kind, steps = ExecutorKind(name), _read_steps(environment)
    if kind is ExecutorKind.in_process:
        if steps is not None:
            message = (
                f"{STEPS_VARIABLE}={steps} has no effect: with {EXECUTOR_VARIABLE}={kind} steps are done one after the "
                f"other. Leave it out, or choose {ExecutorKind.multiprocess} or {ExecutorKind.kubernetes}."
            )
            raise ConfigError(message)
        return dg.in_process_executor
    settings = {} if steps is None else {"max_concurrent": steps}
    if kind is ExecutorKind.multiprocess:
        return dg.multiprocess_executor.configured(settings)
    require("dagster_k8s")
    from dagster_k8s import k8s_job_executor

    return k8s_job_executor.configured(settings)


def _read_steps(environment: Mapping[str, str]) -> int | None:
    text = environment.get(STEPS_VARIABLE, "").strip()
    if not text:
        return None
    # The library takes 0 for as many as there are cores, which is what leaving it out means.
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        message = f"{STEPS_VARIABLE}={text!r} must be a whole number from 1 on: write one, or leave it out."
        raise ConfigError(message)
    return int(text)
