"""The same network for every service: as a package of phytoscope, and as a state dict for timm."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.models.weights import load_backbone_weights
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import save_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import NoveltyKind, OnnxExport, ResizeMode, SetKind
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.calibration import Calibration
from phytoscope.trust.novelty import fit_novelty
from phytoscope.trust.photo import PhotoLimits
from phytoscope.trust.sets import SetRule
from phytoscope.trust.trust import Trust
from phytoscope.trust.verdict import VerdictLimits

SIZE_PX = 224
PACKAGE_NAME, STATE_NAME, FACTS_NAME = "package", "timm.safetensors", "facts.json"
_PER_CLASS = 12


@dataclass(frozen=True)
class Photographs:
    """What the benchmark looks at.

    Attributes:
        class_names: Names of the class folders.
        paths: Some photographs of each class, class after class.
    """

    class_names: tuple[str, ...]
    paths: tuple[Path, ...]


def list_photographs(data: Path) -> Photographs:
    """Takes the first photographs of each class folder."""
    folders = sorted(path for path in data.iterdir() if path.is_dir())
    paths = [path for folder in folders for path in sorted(folder.glob("*.[jJ]*"))[:_PER_CLASS]]
    return Photographs(tuple(folder.name for folder in folders), tuple(paths))


def build_net(backbone: str, weights: str, photographs: Photographs, folder: Path, size_px: int = SIZE_PX) -> Path:
    """Writes package, state dict and facts of one network into a folder.

    Args:
        backbone: Name of a timm model.
        weights: Path of a safetensors file, or `random`.
        photographs: Of each class, as many.
        folder: Where all this goes.
        size_px: Side of the squares that the network sees.
    """
    spec = read_backbone_input(ModelConfig(backbone=backbone, input_size_px=size_px))
    classes = photographs.class_names
    torch.manual_seed(0)
    network = PlantNetwork(backbone, len(classes), 0.0, spec)
    origin = load_backbone_weights(network.backbone, backbone, weights)
    preprocess = Preprocess(size_px, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct)
    description = ModelDescription(
        name=f"benchmark of {backbone}",
        model_id="0123456789abcdef",
        backbone=backbone,
        preprocess=preprocess.to_dict(),
        weights_origin=origin,
        data_hash="d" * 64,
        split_hash="s" * 64,
        metrics={},
        **describe_meaning(Meaning(class_names=classes)),
    )
    plain = Predictor(description, network.state_dict())
    squares = np.stack([plain.prepare(path) for path in photographs.paths])
    features = np.concatenate([plain.look(squares[first : first + 32])[1] for first in range(0, len(squares), 32)])
    state = network.state_dict() | _aim_head(features, len(classes))
    predictor = Predictor(description, state, trust=_judge())
    predictor.novelty = fit_novelty(NoveltyKind.knn, features, np.zeros((len(features), len(classes))), None, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    save_package(predictor, photographs.paths[:8], folder / PACKAGE_NAME, onnx=OnnxExport.always, limitations=[])
    safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, folder / STATE_NAME)
    facts: dict[str, Any] = {"backbone": backbone, "class_names": list(classes), "size_px": size_px}
    write_json(folder / FACTS_NAME, facts | {"mean": list(spec.mean), "std": list(spec.std)})
    return folder / PACKAGE_NAME


def _aim_head(features: NDArray[np.float32], classes: int) -> dict[str, torch.Tensor]:
    """Linear head that prefers the class whose mean is nearest; photographs stand class after class, as many each."""
    scaled = features / np.maximum(features.std(axis=0), 1e-6)
    means = np.stack([part.mean(axis=0) for part in np.array_split(scaled, classes)])
    weight = 0.05 * means / np.maximum(features.std(axis=0), 1e-6)
    bias = -0.025 * np.square(means).sum(axis=1)
    return {"head.weight": torch.tensor(weight).float(), "head.bias": torch.tensor(bias).float()}


def _judge() -> Trust:
    sets = SetRule(SetKind.lac, (0.9,), 0.9)
    photo = PhotoLimits(lowest={"side_px": 100.0})
    limits = VerdictLimits(least_probability=0.5)
    return Trust(Task.classification, calibration=Calibration(), sets=sets, photo=photo, limits=limits)
