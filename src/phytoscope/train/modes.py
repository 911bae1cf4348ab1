"""The ways of training, and the choice between them."""

import dataclasses
from collections.abc import Callable

from phytoscope.errors import ConfigError
from phytoscope.schema.choices import Averaging, CompileChoice, TrainMode
from phytoscope.train.checkpoints import LAST_NAME
from phytoscope.train.features import fit_features, start_head
from phytoscope.train.features.fit import choose_views as count_views
from phytoscope.train.job import TrainingJob
from phytoscope.train.plain import fit_plain
from phytoscope.train.speed.choose import Choice, Workload, choose_mode
from phytoscope.train.speed.compile import plan_compile
from phytoscope.train.speed.device import choose_device
from phytoscope.train.speed.measure import Speeds, measure_speeds
from phytoscope.train.speed.plan import SpeedPlan, read_plan, write_plan
from phytoscope.train.speed.progressive import SizeSchedule, plan_sizes
from phytoscope.train.speed.threads import choose_num_workers
from phytoscope.train.trunk.cut import find_cut
from phytoscope.train.trunk.fit import choose_views, fit_trunk, list_pixel_settings

# Fewer say nothing about speed, and with fewer it does not matter.
_FEWEST_IMAGES = 4


def fit_job(job: TrainingJob) -> TrainMode:
    """Trains in the way that the settings name, or that fits best.

    Args:
        job: What to train; its network holds the best weights afterwards.

    Returns:
        The way that was taken; it stands with what was measured in `speed.json` beside the checkpoints, and a resumed
        training takes it again.

    Raises:
        ConfigError: The way does not fit the adapter or another setting.
        TrainingError: The loss is not finite, or no epoch was completed.
        StorageError: A checkpoint or the history cannot be written.
        KeyboardInterrupt: The user interrupted; what was finished is kept.
    """
    wanted = job.config.trainer.mode
    check_mode(job)
    plan = read_plan(job.folder)
    if plan is None or wanted not in (TrainMode.auto, plan.mode):
        plan = plan_job(job)
        write_plan(plan, job.folder)
    # It changes the speed alone, so a training that goes on may be told another one.
    if job.config.trainer.num_workers is not None:
        plan = dataclasses.replace(plan, num_workers=job.config.trainer.num_workers)
    if plan.reason:
        job.say(plan.reason)
    if _needs_head_start(job, plan.mode):
        start_head(job)
    ways: dict[TrainMode, Callable[[TrainingJob, SpeedPlan], None]] = {
        TrainMode.plain: fit_plain,
        TrainMode.trunk: fit_trunk,
        TrainMode.features: _fit_features,
    }
    ways[plan.mode](job, plan)
    return plan.mode


def plan_job(job: TrainingJob) -> SpeedPlan:
    """Measures a few batches, and arranges the training by what was found.

    Args:
        job: What to train.

    Raises:
        ConfigError: The backbone takes images of one size only and `trainer.smallest_size` asks for others, or the
            network cannot be compiled and `trainer.compile` asks for it.
    """
    trainer = job.config.trainer
    sizes = plan_sizes(job.config, job.preprocess.size_px)
    speeds = measure_speeds(job) if _is_worth_measuring(job) else None
    workers = choose_num_workers(
        trainer,
        -(-len(job.train) // trainer.batch_size),
        prepare_s=None if speeds is None else speeds.prepare_s,
        step_s=None if speeds is None else speeds.step_s,
    )
    choice = _choose(job, speeds, workers, sizes)
    steps_s = None
    if speeds is not None:
        steps_s = speeds.step_s * sizes.mean_cost() * len(job.train) * sizes.epochs
    different = len({sizes.side(epoch) for epoch in range(sizes.epochs)})
    on_gpu = choose_device(trainer).type != "cpu"
    compiling = plan_compile(trainer.compile, on_gpu=on_gpu, step_seconds=steps_s, sizes=different)
    if trainer.compile is CompileChoice.always and not compiling.wanted:
        message = (
            f"trainer.compile=always: {compiling.reason}: install it, or leave trainer.compile at auto, which trains "
            "without."
        )
        raise ConfigError(message)
    return SpeedPlan(
        mode=choice.mode,
        reason=choice.reason,
        num_workers=workers,
        compile=compiling.wanted,
        compile_reason=compiling.reason,
        seconds=choice.seconds,
        cache_gb=choice.cache_gb,
        speeds=None if speeds is None else speeds.to_dict(),
    )


def check_mode(job: TrainingJob) -> None:
    """Makes sure, before anything is computed, that the way that was named fits the other settings.

    Args:
        job: What to train.

    Raises:
        ConfigError: It does not.
    """
    mode = job.config.trainer.mode
    if mode is not TrainMode.features and mode is not TrainMode.trunk:
        return
    if mode is TrainMode.features and job.adaptation.trained:
        kind = job.adaptation.config.kind.value
        message = (
            f"trainer.mode=features keeps the answers of a backbone that is not trained, but adapt={kind} trains it: "
            "use adapt=head, or trainer.mode=trunk, plain or auto."
        )
        raise ConfigError(message)
    refused = _list_refused(job, mode)
    if refused:
        message = (
            f"trainer.mode={mode.value} computes a few views of each image once, on one device"
            f"{', and fits the head without steps' if mode is TrainMode.features else ''}; that does not go together "
            f"with {', '.join(refused)}: leave that out, or use trainer.mode=plain."
        )
        raise ConfigError(message)
    if mode is TrainMode.trunk:
        find_cut(job.network, job.adaptation)


def list_plain_only(job: TrainingJob) -> list[str]:
    """Settings of a job for which every epoch must run the whole network.

    Args:
        job: What to train.
    """
    trainer = job.config.trainer
    found = _list_refused(job, TrainMode.trunk if job.adaptation.trained else TrainMode.features)
    if trainer.limit_batches is not None:
        found.append(f"trainer.limit_batches={trainer.limit_batches}")
    if trainer.profile and job.adaptation.trained:
        found.append("trainer.profile=true")
    return found


def _list_refused(job: TrainingJob, mode: TrainMode) -> list[str]:
    trainer = job.config.trainer
    refused = list_pixel_settings(job)
    if trainer.devices > 1 or trainer.num_nodes > 1:
        refused.append(f"trainer.devices={trainer.devices}, trainer.num_nodes={trainer.num_nodes}")
    if mode is TrainMode.features and trainer.averaging is not Averaging.none:
        refused.append(f"trainer.averaging={trainer.averaging.value}")
    if mode is TrainMode.features and trainer.profile:
        refused.append("trainer.profile=true")
    return refused


def _needs_head_start(job: TrainingJob, mode: TrainMode) -> bool:
    open_length = job.config.adapt.frozen_epochs is None and bool(job.adaptation.trained)
    # A training that goes on has its head in the checkpoint. The head of an adapter file is there already; one that
    # answers another question brings none, and a head that knows nothing is zero.
    begun = (job.folder / LAST_NAME).exists() or bool(job.network.head.weight.any())
    return mode is not TrainMode.features and open_length and not begun


def _is_worth_measuring(job: TrainingJob) -> bool:
    trainer = job.config.trainer
    return (
        trainer.mode in (TrainMode.auto, TrainMode.plain)
        and trainer.limit_batches is None
        and trainer.devices == 1
        and trainer.num_nodes == 1
        and len(job.train) >= _FEWEST_IMAGES
    )


def _choose(job: TrainingJob, speeds: Speeds | None, workers: int, sizes: SizeSchedule) -> Choice:
    trainer = job.config.trainer
    if speeds is None:
        head_only = not job.adaptation.trained and not list_plain_only(job)
        guessed = TrainMode.features if head_only else TrainMode.plain
        return Choice(guessed if trainer.mode is TrainMode.auto else trainer.mode, "", {}, 0.0)
    work = Workload(
        train_images=len(job.train),
        val_images=len(job.val),
        epochs=trainer.max_epochs or 1,
        views=choose_views(job, speeds.trunk_bytes) if job.adaptation.trained else 1 + count_views(job),
        size_cost=sizes.mean_cost(),
        num_workers=workers,
        cache_max_gb=job.config.paths.cache_max_gb,
        adapt=job.adaptation.config.kind.value,
        head_only=not job.adaptation.trained,
    )
    choice = choose_mode(work, speeds, plain_only=list_plain_only(job))
    if trainer.mode is TrainMode.auto:
        return choice
    return Choice(trainer.mode, "", choice.seconds, 0.0)


def _fit_features(job: TrainingJob, _: SpeedPlan) -> None:
    fit_features(job)
