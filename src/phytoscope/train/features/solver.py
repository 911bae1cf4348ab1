"""A linear head with a penalty on its weights, fitted to the end for one strength of the penalty after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from phytoscope.errors import TrainingError
from phytoscope.train.features.axes import Axes

_MOST_STEPS = 200
_TOLERANCE = 1e-5
# Keeps the coordinates finite where a loss is flat or a corner.
_SMALLEST_CURVATURE = 1e-3
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LinearHead:
    """A head on the axes of its inputs.

    Attributes:
        weight: Shape (R, outputs), float32.
        bias: Shape (outputs,), float32.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, turned: Tensor) -> Tensor:
        """Answers (N, outputs) to inputs (N, R) on the axes."""
        return torch.addmm(self.bias, turned, self.weight)


class HeadSolver:
    """Minimises loss + strength / 2 x sum of squared weights with L-BFGS (Liu and Nocedal 1989, 10.1007/BF01589116).

    The loss may be any: it is only asked for its value and its gradient at the outputs. For a squared loss the
    coordinates are such that the first step is nearly the solution, which is ridge regression (Hoerl and Kennard 1970,
    doi 10.1080/00401706.1970.10488634).
    """

    def __init__(self, axes: Axes, turned: Tensor, target: Tensor, loss: Loss, outputs: int) -> None:
        """Takes what is learned from.

        Args:
            axes: Axes of the inputs.
            turned: Inputs on them, shape (N, R), float32.
            target: What the loss takes, N rows.
            loss: Takes outputs (N, outputs) and the target, gives a scalar that is a mean over rows.
            outputs: Number of outputs.
        """
        self._axes, self._turned, self._target, self._loss = axes, turned, target, loss
        rows = turned.shape[1]
        self.head = LinearHead(turned.new_zeros(rows, outputs), turned.new_zeros(outputs))

    def solve(self, strength: float, *, tolerance: float = _TOLERANCE) -> float:
        """Fits the head, starting from the one before; the result is `head`.

        Args:
            strength: Of the penalty, for inputs of standard deviation 1; above 0.
            tolerance: The search ends where a step lowers what is minimised by a smaller share than this.

        Returns:
            The loss without the penalty.

        Raises:
            TrainingError: The loss is not a finite number.
        """
        scale = (self._axes.variances[:, None] * self._measure_curvature() + strength).rsqrt()
        start = torch.cat([self.head.weight / scale, self.head.bias[None]])
        losses: list[float] = [0.0]

        def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            head = self._unpack(flat, scale)
            losses[0], at_outputs = self._slope(head)
            weight_slope = (self._turned.T @ at_outputs + strength * head.weight) * scale
            slope = torch.cat([weight_slope, at_outputs.sum(dim=0, keepdim=True)])
            value = losses[0] + 0.5 * strength * float(head.weight.square().sum())
            return value, slope.double().cpu().numpy().ravel()

        options: dict[str, Any] = {"maxiter": _MOST_STEPS, "ftol": tolerance, "gtol": 1e-6}
        found = minimize(evaluate, start.double().cpu().numpy().ravel(), jac=True, method="L-BFGS-B", options=options)
        self.head = self._unpack(found.x, scale)
        return self._slope(self.head)[0]

    def _measure_curvature(self) -> Tensor:
        """Mean second derivative of the loss at each output, shape (outputs,), by one random probe.

        The source is Hutchinson 1990, doi 10.1080/03610919008812866.
        """
        outputs = self.head(self._turned).requires_grad_(True)
        generator = torch.Generator(device=outputs.device).manual_seed(0)
        probe = torch.randint(0, 2, outputs.shape, generator=generator, device=outputs.device).to(outputs) * 2 - 1
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self._loss(outputs, self._target), outputs, create_graph=True)
            if not slope.requires_grad:
                return outputs.new_full((outputs.shape[1],), _SMALLEST_CURVATURE)
            # A loss that is linear piece by piece does not bend: its slope does not depend on the outputs.
            (bent,) = torch.autograd.grad((slope * probe).sum(), outputs, allow_unused=True, materialize_grads=True)
        return (bent * probe).sum(dim=0).nan_to_num(0.0).clamp_min(_SMALLEST_CURVATURE)

    def _unpack(self, flat: NDArray[np.float64], scale: Tensor) -> LinearHead:
        packed = torch.from_numpy(flat).to(scale).view(-1, len(self.head.bias))
        return LinearHead(packed[:-1] * scale, packed[-1])

    def _slope(self, head: LinearHead) -> tuple[float, Tensor]:
        outputs = head(self._turned).requires_grad_(True)
        with torch.enable_grad():
            loss = self._loss(outputs, self._target)
            (at_outputs,) = torch.autograd.grad(loss, outputs)
        value = float(loss.detach())
        if not np.isfinite(value):
            message = (
                f"the loss of the head became {value}: the features or the targets hold extreme values; look at the "
                "data with `phytoscope inspect`, or choose another task.loss or task.target_transform."
            )
            raise TrainingError(message)
        return value, at_outputs
