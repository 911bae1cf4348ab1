"""Settings as typed dataclasses: the schema under the YAML groups, and what every step receives.

Fields that are None mean "chosen from the data or the backbone"; what was chosen is written beside the artefact.
"""

from dataclasses import dataclass, field
from typing import Any

from phytoscope.schema.choices import (
    CalibrationKind,
    IntervalKind,
    NoveltyKind,
    OnnxExport,
    SetKind,
    VariantExport,
)
from phytoscope.schema.data_config import AuditConfig, DataConfig
from phytoscope.schema.engine import EngineConfig
from phytoscope.schema.missing import MISSING
from phytoscope.schema.operate import MonitorConfig, PromoteConfig, TrackConfig
from phytoscope.schema.serve import ServeConfig
from phytoscope.schema.train_config import AdaptConfig, ModelConfig, SweepConfig, TaskConfig, TrainerConfig


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
