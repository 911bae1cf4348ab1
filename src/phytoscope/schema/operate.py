"""Settings of what happens around a model once it can be trained: who is told, who is promoted, what is watched."""

import re
from dataclasses import dataclass, field

from phytoscope.schema.choices import TrackSink, WandbMode

_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@]*:[^/]*@", re.IGNORECASE)


def holds_password(uri: str) -> bool:
    """Whether an address holds a user's password, which would be written wherever the address is.

    Args:
        uri: For example `http://user:secret@host:5001`.
    """
    return _PASSWORD.match(uri) is not None


@dataclass
class TrackConfig:
    """Who is told about runs. Every run keeps a log of its own, from which `phytoscope track sync` tells anybody later.

    Attributes:
        sinks: Who is told while the run goes on.
        experiment: Experiment of MLflow, project of Weights & Biases.
        uri: Where MLflow keeps its runs: `sqlite:///FILE` or `http://HOST:PORT`; when None, what the environment
            variable MLFLOW_TRACKING_URI says, else `<runs_dir>/mlflow/mlflow.db` with its artefacts beside it.
        wandb_mode: Whether Weights & Biases is told over the network.
        model_name: Name of the model in the registry; the run's name when None.
        pyfunc: Whether the package is also kept as an MLflow model that `mlflow models serve` loads.
        system_seconds: Seconds between two looks at the load of the machine; 0 for none.
        wait_seconds: How long the end of a command waits until all is told; what is left is told by
            `phytoscope track sync`.
    """

    sinks: list[TrackSink] = field(default_factory=list)
    experiment: str = "phytoscope"
    uri: str | None = None
    wandb_mode: WandbMode = WandbMode.offline
    model_name: str | None = None
    pyfunc: bool = True
    system_seconds: float = 10.0
    wait_seconds: float = 60.0


@dataclass
class PromoteConfig:
    """When a challenger takes the place of the champion.

    Attributes:
        margin: How much worse than the champion it may be on the test rows and still pass: points of the main metric
            (0-1) for classes, a share of the champion's error for numbers.
        slice_margin: The same in any slice (class, decile, column).
        must_win: Whether it must be better, and not only no worse.
        min_groups: Groups that both must be measured on, and that a slice must have to be judged.
        calibration_margin: How much the expected calibration error may grow (classification).
        coverage_margin: How far the share of sets or intervals that hold the truth may stay below what was promised.
        confidence: Level of the intervals behind the decision.
    """

    margin: float = 0.02
    slice_margin: float = 0.1
    must_win: bool = False
    min_groups: int = 10
    calibration_margin: float = 0.03
    coverage_margin: float = 0.05
    confidence: float = 0.95


@dataclass
class MonitorConfig:
    """How new images are compared with those the model was measured on.

    Attributes:
        incoming: Folder or table of new images that the pipeline looks at; none when None.
        false_alarm: Chance of ever crying wolf, over all looks together, as long as nothing has changed.
        max_images: New images of one look that are compared, drawn by group; all when None.
        min_images: Fewer new images are waited for.
        draws: Permutations behind each significance; more where something stands out and its threshold needs them.
    """

    incoming: str | None = None
    false_alarm: float = 0.05
    max_images: int | None = 1000
    min_images: int = 20
    draws: int = 1000
