"""The ways of training, and the choice between them."""

from collections.abc import Callable

from phytoscope.schema.config import TrainMode
from phytoscope.train.job import TrainingJob
from phytoscope.train.plain import fit_plain


def fit_job(job: TrainingJob) -> TrainMode:
    """Trains in the way that the settings name, or that fits best.

    Args:
        job: What to train; its network holds the best weights afterwards.

    Returns:
        The way that was taken.

    Raises:
        ConfigError: The way does not fit the adapter.
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; what was finished is kept.
    """
    mode = job.config.trainer.mode
    if mode is TrainMode.auto:
        mode = TrainMode.plain
    ways: dict[TrainMode, Callable[[TrainingJob], None]] = {TrainMode.plain: fit_plain}
    ways[mode](job)
    return mode
