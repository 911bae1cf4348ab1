"""Everything that one training needs, whatever way it takes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from phytoscope.data.datamodule import Samples
from phytoscope.models.adapters import Adaptation
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.config import RunConfig
from phytoscope.schema.engine import RowEngine
from phytoscope.schema.events import Journal, SilentJournal
from phytoscope.schema.progress import Progress
from phytoscope.train.devices import Crew
from phytoscope.transforms.augment import Augmentation
from phytoscope.transforms.preprocess import Preprocess


@dataclass(frozen=True)
class TrainingJob:
    """One network to be trained on some samples.

    Every way of training leaves the weights of its best epoch in `network`, still with its adapters, and one row an
    epoch (or a fit) in `history_path`.

    Attributes:
        config: Settings; lengths that were left open are filled in by `plan_training`.
        network: The adapted network with its pre-trained weights, changed in place.
        adaptation: Which of its parameters are trained.
        meaning: What its outputs are.
        preprocess: How images became the squares of the samples.
        train: Samples to learn from.
        val: Samples to choose by.
        unlabelled: Images without an answer; None when there are none or they are not to be used.
        augmentation: Random change of training images.
        cache_dir: Where what was computed once is kept.
        folder: Where checkpoints go.
        history_path: CSV with one row an epoch.
        progress: Told about every batch.
        say: Receiver of sentences for the user.
        watchers: Further Lightning callbacks, for the ways of training that go by epochs.
        journal: Receiver of what trackers are told.
        engine: Where features are computed; this process when None.
        crew: Processes of a cluster that train together with this one; None where nobody has started any, or torchrun
            or SLURM has.
    """

    config: RunConfig
    network: PlantNetwork
    adaptation: Adaptation
    meaning: Meaning
    preprocess: Preprocess
    train: Samples
    val: Samples
    unlabelled: Samples | None
    augmentation: Augmentation
    cache_dir: Path
    folder: Path
    history_path: Path
    progress: Progress
    say: Callable[[str], None]
    watchers: tuple[Callback, ...] = ()
    journal: Journal = field(default_factory=SilentJournal)
    engine: RowEngine | None = None
    crew: Crew | None = None
