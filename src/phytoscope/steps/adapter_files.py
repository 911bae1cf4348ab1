"""Adapter files of a run: the one that a training starts from, and the one that it leaves."""

from pathlib import Path

from phytoscope.errors import ConfigError
from phytoscope.models.adapters import Adaptation, load_adapter, save_adapter
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.artifact import hash_file, resolve_path
from phytoscope.schema.choices import AdaptKind
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.train.job import TrainingJob


def find_start(config: RunConfig) -> Path | None:
    """The adapter file that `adapt.start_from` names; None when it names none.

    Raises:
        ConfigError: There is no such file.
    """
    if config.adapt.start_from is None:
        return None
    path = resolve_path(config.adapt.start_from, "adapt.start_from")
    if not path.is_file():
        message = (
            f"adapt.start_from: there is no file {str(path)!r}; name checkpoints/adapter.safetensors in the folder of "
            "a run with the same backbone and adapt settings."
        )
        raise ConfigError(message)
    return path


def hash_start(config: RunConfig) -> str:
    """SHA-256 of the adapter file that `adapt.start_from` names, as 64 hexadecimal digits; empty when it names none.

    Raises:
        ConfigError: There is no such file.
    """
    path = find_start(config)
    return "" if path is None else hash_file(path)


def start_from_adapter(context: RunContext, network: PlantNetwork, adaptation: Adaptation, meaning: Meaning) -> None:
    """Fills an adapted network from the file that `adapt.start_from` names, if it names one.

    Args:
        context: Settings.
        network: The adapted network; changed in place.
        adaptation: How it is adapted.
        meaning: What its outputs are.

    Raises:
        ConfigError: There is no such file.
        WeightsError: The file is damaged, or does not fit the backbone or the settings.
    """
    path = find_start(context.config)
    if path is None:
        return
    backbone = context.config.model.backbone
    if not load_adapter(network, adaptation, path, backbone=backbone, answers=_name_answers(meaning)):
        context.say(
            "train: the adapter to start from answers another question; its backbone part is used, not its head"
        )


def write_adapter(job: TrainingJob, run: RunFolder) -> None:
    """Writes what was trained beside the checkpoints, before it is folded.

    Nothing is written when the whole backbone was trained: the file would be the network itself, which
    `weights.safetensors` holds already.

    Args:
        job: The trained job.
        run: Folder of the run.

    Raises:
        StorageError: The folder cannot be written.
    """
    if job.adaptation.config.kind is AdaptKind.full:
        return
    backbone = job.config.model.backbone
    save_adapter(job.network, job.adaptation, run.adapter, backbone=backbone, answers=_name_answers(job.meaning))


def _name_answers(meaning: Meaning) -> tuple[str, ...]:
    return meaning.class_names or tuple(target.name for target in meaning.targets)
