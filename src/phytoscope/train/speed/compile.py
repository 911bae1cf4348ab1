"""Whether the network is compiled before it is trained, and doing so without ever failing."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from phytoscope.models.network import PlantNetwork
from phytoscope.schema.choices import CompileChoice

# Measured by benchmarks/speed.py on a small convolutional net: what compilation costs for each size of the images, and
# what a compiled step saves.
_CPU_COMPILE_S, _CPU_SAVED = 60.0, 0.2
_GPU_COMPILE_S, _GPU_SAVED = 40.0, 0.2
_MUST_PAY_BACK = 2.0
_CPU_COMPILERS = ("g++", "clang++", "cl")


@dataclass(frozen=True)
class CompilePlan:
    """Whether the network is compiled.

    Attributes:
        wanted: Whether it is.
        reason: Why, for the user.
    """

    wanted: bool
    reason: str


def plan_compile(choice: CompileChoice, *, on_gpu: bool, step_seconds: float | None, sizes: int) -> CompilePlan:
    """Decides whether compiling pays.

    Args:
        choice: What the settings say.
        on_gpu: Whether the network is trained on a GPU.
        step_seconds: Seconds that all training steps will take uncompiled; None when that was not measured.
        sizes: Sizes that training images will have; each is compiled for itself.
    """
    if choice is CompileChoice.never:
        return CompilePlan(False, "trainer.compile=never")
    missing = _find_missing(on_gpu=on_gpu)
    if missing is not None:
        return CompilePlan(False, missing)
    if choice is CompileChoice.always:
        return CompilePlan(True, "trainer.compile=always")
    if step_seconds is None:
        return CompilePlan(False, "the steps were not measured")
    cost, saved = (_GPU_COMPILE_S, _GPU_SAVED) if on_gpu else (_CPU_COMPILE_S, _CPU_SAVED)
    gain, price = saved * step_seconds, cost * sizes
    pays = gain > _MUST_PAY_BACK * price
    return CompilePlan(pays, f"it would save about {gain:.0f} s and cost about {price:.0f} s")


@contextlib.contextmanager
def compiled(network: PlantNetwork, *, wanted: bool) -> Iterator[None]:
    """Compiles a network for as long as the block runs; where that fails the network computes as it always did.

    Args:
        network: Changed in place; its parameters and their names stay.
        wanted: Whether it is compiled at all.
    """
    if not wanted:
        yield
        return
    config = torch._dynamo.config  # noqa: SLF001 (the only place for this setting)
    before = config.suppress_errors
    config.suppress_errors = True
    network.compile()
    try:
        yield
    finally:
        config.suppress_errors = before
        # Whoever saves, folds or copies the network afterwards wants the plain one.
        network._compiled_call_impl = None  # noqa: SLF001 (torch offers no way back)
        torch.compiler.reset()


def _find_missing(*, on_gpu: bool) -> str | None:
    if on_gpu:
        from torch.utils import _triton

        return None if _triton.has_triton() else "triton, which compiles for GPUs, is not installed"
    if not any(shutil.which(name) for name in _CPU_COMPILERS):
        return f"there is no C++ compiler ({', '.join(_CPU_COMPILERS)})"
    return None
