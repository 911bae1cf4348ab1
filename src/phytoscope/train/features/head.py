"""The linear head of rows of features: one strength of its penalty after the other, and the best is kept."""

from dataclasses import dataclass

import torch
from torch import Tensor

from phytoscope.errors import TrainingError
from phytoscope.train.features.axes import Axes, fit_axes
from phytoscope.train.features.solver import HeadSolver, LinearHead
from phytoscope.train.tasks import SMOOTHED, PlantTask

WEAKER = tuple(10.0 ** (place / 2) for place in range(0, -11, -1))
"""Strengths of the penalty that are tried first, for inputs of standard deviation 1; each solution starts the next."""
STRONGER = tuple(10.0 ** (place / 2) for place in range(1, 8))
"""Strengths that are tried when the strongest of the others was the best, as it is for few images."""
_PATIENCE = 2
# Closer than this no answer changes any more, and half of the steps would be spent there.
_CLOSE_ENOUGH = 1e-4


@dataclass(frozen=True)
class HeadRows:
    """What a head learns from, or is chosen by.

    Attributes:
        inputs: Features, and covariates behind them, shape (N, D), any float type.
        target: What the loss of the task takes, N rows.
    """

    inputs: Tensor
    target: Tensor


@dataclass(frozen=True)
class ChosenHead:
    """The head of the best strength.

    Attributes:
        weight: Array of shape (outputs, D), float32, as `nn.Linear` has it.
        bias: Array of shape (outputs,), float32.
        strength: Of its penalty, for inputs of standard deviation 1.
        value: Metric that it was chosen by, lower is better.
        tried: Strengths that were tried.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    value: float
    tried: int


def fit_head(task: PlantTask, seen: HeadRows, strength: float) -> tuple[Tensor, Tensor]:
    """Fits a head with a penalty of one strength.

    Args:
        task: Its loss is minimised; its network gives the number of outputs and is not changed.
        seen: Rows to learn from.
        strength: Of the penalty, for inputs of standard deviation 1; above 0.

    Returns:
        Weight of shape (outputs, D) and bias of shape (outputs,), float32.

    Raises:
        TrainingError: The loss is not a finite number.
    """
    axes, solver = _open_solver(task, seen)
    task.train()
    try:
        solver.solve(strength)
    finally:
        task.eval()
    return axes.fold(solver.head.weight, solver.head.bias)


def choose_head(task: PlantTask, seen: HeadRows, val: HeadRows, rows: list[dict[str, float]]) -> ChosenHead:
    """Fits a head for one strength of its penalty after the other, and takes the one that answers other rows best.

    Args:
        task: Its loss is minimised and its metric chooses; its network gives the number of outputs and is not changed.
        seen: Rows to learn from.
        val: Rows to choose by.
        rows: Receives what was measured of each strength.

    Raises:
        TrainingError: The loss is not a finite number.
    """
    axes, solver = _open_solver(task, seen)
    try:
        head, chosen = _choose_strength(task, solver, HeadRows(axes.turn(val.inputs), val.target), rows)
    finally:
        task.eval()
    return ChosenHead(*axes.fold(head.weight, head.bias), chosen["strength"], chosen[SMOOTHED], len(rows))


def _open_solver(task: PlantTask, seen: HeadRows) -> tuple[Axes, HeadSolver]:
    axes = fit_axes(seen.inputs)
    task.to(seen.inputs.device)
    outputs = task.network.head.out_features
    return axes, HeadSolver(axes, axes.turn(seen.inputs), seen.target, task.compute_loss, outputs)


def _choose_strength(
    task: PlantTask, solver: HeadSolver, val: HeadRows, rows: list[dict[str, float]]
) -> tuple[LinearHead, dict[str, float]]:
    best: tuple[LinearHead, dict[str, float]] | None = None
    for strengths in (WEAKER, STRONGER):
        if best is not None and best[1]["strength"] < WEAKER[0]:
            break
        worse = 0
        for strength in strengths:
            # Some losses are different while training; dropout has no part in it, as the loss is all that is called.
            task.train()
            loss = solver.solve(strength, tolerance=_CLOSE_ENOUGH)
            task.eval()
            row = _measure(task, solver.head(val.inputs), val.target)
            rows.append({"epoch": len(rows), "train/loss": loss, **row, "strength": strength})
            worse += 1
            if best is None or row[SMOOTHED] < best[1][SMOOTHED]:
                best, worse = (solver.head, rows[-1]), 0
            if worse >= _PATIENCE:
                break
    if best is None:
        message = "no strength of the penalty could be tried: report it."
        raise TrainingError(message)
    return best


def _measure(task: PlantTask, outputs: Tensor, target: Tensor) -> dict[str, float]:
    metrics = task.measure(outputs.double().cpu().numpy(), target.cpu().numpy())
    values = {metric.name: metric.value for metric in metrics if metric.value is not None}
    with torch.no_grad():
        loss = float(task.compute_loss(outputs, target))
    return {
        "val/loss": loss,
        **{f"val/{name}": value for name, value in values.items()},
        SMOOTHED: values[task.chosen_by],
    }
