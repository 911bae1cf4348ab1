"""What an estimator is to learn, in the form in which training takes it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.data.datamodule import Samples
from phytoscope.estimators.dealing import Dealt
from phytoscope.models.adapters import Adaptation
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import PlantNetwork
from phytoscope.models.target import fit_scale
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.config import RunConfig
from phytoscope.schema.pixels import PixelSource
from phytoscope.schema.progress import SilentProgress
from phytoscope.train.job import TrainingJob
from phytoscope.train.plan import plan_training
from phytoscope.train.scales.meanings import choose_scales
from phytoscope.transforms.augment import build_augmentation
from phytoscope.transforms.preprocess import Preprocess

NO_PIXELS = np.zeros((0, 1, 1, 3), dtype=np.uint8)
"""Where features are known and no pixel is looked at."""
NO_PREPROCESS = Preprocess(1, ResizeMode.squash, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""For rows of numbers, which were never pictures."""


@dataclass(frozen=True)
class Lesson:
    """Rows with their answers, and how to learn from them.

    Attributes:
        config: Settings.
        class_names: Name of each class in the order of its number; empty where values are learned.
        target: Number of each row's class, shape (n,), int64, or its value, shape (n,), float64.
        dealt: Which rows are learned from and which are kept back.
        penalty: Strength of the penalty on the head's weights; chosen on the rows that are kept back when None.
    """

    config: RunConfig
    class_names: tuple[str, ...]
    target: NDArray[Any]
    dealt: Dealt
    penalty: float | None

    def fit_meaning(self, features: Callable[[], NDArray[np.float32]]) -> Meaning:
        """What the outputs of the network will be; the scale of values is fitted on the rows to learn from.

        Args:
            features: Gives frozen features of those rows, shape (m, F), float32; called only where they are needed.

        Raises:
            ConfigError: The loss cannot take these values.
            DataValidationError: The values cannot be learned on the scale that was asked for.
        """
        if self.class_names:
            return Meaning(class_names=self.class_names)
        task, data = self.config.task, self.config.data
        bounds = (data.target_min, data.target_max)
        values = self.target[self.dealt.learned]
        meaning = Meaning(targets=(TargetMeaning("value", "", fit_scale(values, task, *bounds)),))
        return choose_scales(
            task,
            meaning,
            values[:, None],
            tuple(self.dealt.groups[row] for row in self.dealt.learned),
            bounds=[bounds],
            features=features,
            seed=self.config.seed,
            say=_say_nothing,
        )

    def build_job(
        self,
        network: PlantNetwork,
        adaptation: Adaptation,
        meaning: Meaning,
        *,
        pixels: PixelSource = NO_PIXELS,
        preprocess: Preprocess = NO_PREPROCESS,
        names: tuple[str, ...] = (),
        folder: Path = Path(),
    ) -> TrainingJob:
        """Puts together what training takes.

        Args:
            network: The adapted network.
            adaptation: What of it is trained.
            meaning: What its outputs are.
            pixels: Square of each row.
            preprocess: How the squares were made.
            names: Hash of each picture; none where there are no pictures.
            folder: Where training may write.
        """
        config = self.config
        batches = -(-len(self.dealt.learned) // config.trainer.batch_size)
        trainer, adapt = plan_training(config.trainer, config.adapt, batches)

        def build_samples(rows: NDArray[np.int64]) -> Samples:
            return Samples(
                pixels,
                rows,
                self.scale_target(meaning, rows),
                sha256=tuple(names[row] for row in rows) if names else (),
                group_ids=tuple(self.dealt.groups[row] for row in rows),
            )

        return TrainingJob(
            config=dataclasses.replace(config, trainer=trainer, adapt=adapt),
            network=network,
            adaptation=dataclasses.replace(adaptation, config=adapt),
            meaning=meaning,
            preprocess=preprocess,
            train=build_samples(self.dealt.learned),
            val=build_samples(self.dealt.kept),
            unlabelled=None,
            augmentation=build_augmentation(config.data.augment, size_px=preprocess.size_px, seed=config.seed),
            cache_dir=folder / "cache",
            folder=folder / "checkpoints",
            history_path=folder / "history.csv",
            progress=SilentProgress(),
            say=_say_nothing,
        )

    def scale_target(self, meaning: Meaning, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Answers of some rows as a loss takes them: shape (m,), int64, or (m, 1), float32, on the learned scale."""
        if self.class_names:
            return self.target[rows]
        return meaning.targets[0].scale.forward(self.target[rows])[:, None].astype(np.float32)


def _say_nothing(_: str) -> None:
    pass
