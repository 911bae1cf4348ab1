"""Settings of the data: where they are, what they mean, how they are split and looked at."""

from dataclasses import dataclass, field

from phytoscope.schema.choices import AugmentPreset, DataKind, FailOn, ResizeMode
from phytoscope.schema.missing import MISSING
from phytoscope.schema.table import Task


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
