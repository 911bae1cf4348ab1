"""What was measured and chosen for one training, kept beside its checkpoints so that a resumed run goes on alike."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import read_json, write_json
from phytoscope.schema.choices import TrainMode

PLAN_NAME = "speed.json"


@dataclass(frozen=True)
class SpeedPlan:
    """How one training is arranged.

    Attributes:
        mode: The way.
        reason: Why, for the user; empty when the settings name the way.
        num_workers: Processes that prepare training batches.
        compile: Whether the network is compiled.
        compile_reason: Why.
        seconds: Estimated seconds of each way that is possible.
        cache_gb: Space that the way takes in the cache.
        speeds: What was measured, see `Speeds`; None when nothing was.
    """

    mode: TrainMode
    reason: str
    num_workers: int
    compile: bool = False
    compile_reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    cache_gb: float = 0.0
    speeds: dict[str, Any] | None = None


def write_plan(plan: SpeedPlan, folder: Path) -> None:
    """Keeps a plan beside the checkpoints.

    Raises:
        StorageError: The place cannot be written.
    """
    write_json(folder / PLAN_NAME, {**asdict(plan), "mode": plan.mode.value})


def read_plan(folder: Path) -> SpeedPlan | None:
    """Reads the plan of a training that began earlier.

    Args:
        folder: Folder of its checkpoints.

    Returns:
        The plan; None when there is none, or what is there is not one.
    """
    if not (folder / PLAN_NAME).is_file():
        return None
    try:
        content = read_json(folder / PLAN_NAME)
        return SpeedPlan(**{**content, "mode": TrainMode(content["mode"])})
    except (ArtifactError, KeyError, TypeError, ValueError):
        # A plan is only a matter of speed: a new one can be made.
        return None
