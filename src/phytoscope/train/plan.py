"""How long to train when the settings leave it open."""

import dataclasses

from phytoscope.schema.train_config import AdaptConfig, TrainerConfig

# What a pre-trained network needs; a small data set gets there by more epochs, up to a point.
_STEPS = 1400
_FEWEST_EPOCHS, _MOST_EPOCHS = 12, 50


def plan_training(trainer: TrainerConfig, adapt: AdaptConfig, batches: int) -> tuple[TrainerConfig, AdaptConfig]:
    """Fills in what the settings leave open.

    Small data sets are trained for more epochs, so that every network sees at least some hundred steps; and training
    stops early only when half of the epochs brought nothing better. Frozen epochs stay open: the head is then fitted
    before the first epoch, which takes less time than any epoch and gives a better head.

    Args:
        trainer: Settings; `max_epochs` and `patience` may be None.
        adapt: Settings; `frozen_epochs` may be None.
        batches: Training batches an epoch.

    Returns:
        The same settings with all lengths filled in.
    """
    epochs = trainer.max_epochs
    if epochs is None:
        epochs = min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, -(-_STEPS // max(1, batches))))
    patience = trainer.patience if trainer.patience is not None else max(3, -(-epochs // 2))
    frozen = None if adapt.frozen_epochs is None else min(adapt.frozen_epochs, epochs)
    return (
        dataclasses.replace(trainer, max_epochs=epochs, patience=patience),
        dataclasses.replace(adapt, frozen_epochs=frozen),
    )
