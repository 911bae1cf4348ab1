"""From data to a trained network, in the folder of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from phytoscope.configs.run_words import compose_here, compose_run
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.sdk.dataset import Dataset, check_dataset
from phytoscope.sdk.notebook_view import draw_view
from phytoscope.sdk.reading import check_settings
from phytoscope.sdk.shown_progress import telling
from phytoscope.steps import RunContext, choose_run_folder, run_step


@dataclass(frozen=True)
class TrainedRun:
    """The folder of one run, as Python sees it; nothing of it is kept in memory.

    Attributes:
        root: The folder. `TrainedRun("runs/leaves")` opens one of yesterday.
    """

    root: Path

    def __post_init__(self) -> None:
        """Takes a text for a path, too."""
        object.__setattr__(self, "root", Path(self.root))

    @property
    def files(self) -> RunFolder:
        """Names of all files in the folder."""
        return RunFolder(self.root)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: `epoch`, losses and metrics on train and val.

        Raises:
            ArtifactError: Nothing is trained yet.
        """
        return pd.read_csv(_find(self.files.history, "train(data)"))

    @property
    def split(self) -> pd.DataFrame:
        """One row an image: `sample_id`, `group_id`, `split`, `fold`.

        Raises:
            ArtifactError: No split is drawn yet.
        """
        return pd.read_parquet(_find(self.files.split, "train(data)"))

    @property
    def answers(self) -> pd.DataFrame:
        """One row an image of val, calibration and test, judged; after `evaluate`.

        Raises:
            ArtifactError: Nothing is judged yet.
        """
        return pd.read_parquet(_find(self.files.answers, "evaluate(run)"))

    @property
    def report_page(self) -> Path:
        """The report as one page for a browser; after `evaluate`."""
        return self.files.report_page

    @property
    def package(self) -> Path:
        """The package that `Predictor.load` opens; after `package`."""
        return self.files.package

    def __repr__(self) -> str:
        """One line."""
        return f"TrainedRun({str(self.root)!r})"

    def _repr_html_(self) -> str:
        table = self.history.tail(5) if self.files.history.is_file() else None
        return draw_view("TrainedRun", {"folder": self.root}, table)


def _find(file: Path, call: str) -> Path:
    if not file.is_file():
        message = f"there is no {str(file)!r} yet: call phytoscope.{call} first."
        raise ArtifactError(message)
    return file


def train(
    data: Dataset,
    *,
    model: str | None = None,
    settings: Sequence[str] = (),
    run_dir: str | Path | None = None,
    progress: bool = False,
) -> TrainedRun:
    """Draws the split and trains a network; what is finished is not done again.

    Interrupted? The same call goes on where it stopped: with `run_dir` in that folder, without it in the latest folder
    of the same settings below `runs`, else in a new one. A call with other settings in the same folder trains anew.

    Args:
        data: What `read` gave.
        model: A preset such as `mobilenetv3` (when None), `mobilenetv3_small`, `efficientnet_lite0` or `resnet18`; any
            network of timm with `settings=["model.backbone=NAME"]`.
        settings: Further words as the command line takes them, such as `trainer.max_epochs=5` or `adapt=norm`.
        run_dir: Folder of the run; made where it does not exist.
        progress: Whether to show how far it is.

    Raises:
        ConfigError: A setting is wrong; the text names the nearest that exists.
        DataValidationError: Nothing can be learned from the data.
        SplitError: There are too few plants.
        WeightsUnavailableError: The weights are neither on this computer nor to be had from the hub.
        TrainingError: The training went wrong in a way that you can mend.
        ArtifactError: The folder holds a run on other data, or something else.
        PhytoscopeError: Anything else that you can mend.

    Examples:
        >>> data = ph.read("leaves")
        >>> settings = ["debug=fast", "model.input_size_px=64"]
        >>> run = ph.train(data, model="efficientnet_lite0", settings=settings, run_dir="runs/leaves")
        >>> run.root.name, len(run.history)
        ('leaves', 1)
    """
    words = [*check_dataset(data).settings, *([] if model is None else [f"model={model}"]), *check_settings(settings)]
    words += [] if run_dir is None else [f"paths.run_dir={Path(run_dir)}"]
    return TrainedRun(take_steps(compose_here(words), ("prepare", "train"), progress=progress).root)


def take_steps(config: RunConfig, steps: Sequence[str], *, progress: bool) -> RunFolder:
    """Takes steps of one run, one after another.

    Args:
        config: Settings.
        steps: Names of the steps.
        progress: Whether to show how far it is.

    Raises:
        PhytoscopeError: Anything the user can mend.
    """
    with telling(progress) as told:
        context = RunContext(config, choose_run_folder(config), told.progress, told.say)
        for name in steps:
            run_step(context, name)
    return context.run


def compose_of_run(run: object, settings: Sequence[str]) -> RunConfig:
    """Composes the settings of a run that is there, and further words.

    Args:
        run: What `train` gave, or the folder.
        settings: Further words.

    Raises:
        ConfigError: It is neither, there is no run in the folder, or a word is no setting.
    """
    if not isinstance(run, TrainedRun | str | Path):
        message = (
            f"expected a TrainedRun or the folder of a run, received {run!r:.80} ({type(run).__name__}): train first, "
            "run = phytoscope.train(data)."
        )
        raise ConfigError(message)
    return compose_run([f"paths.run_dir={run.root if isinstance(run, TrainedRun) else run}", *check_settings(settings)])
