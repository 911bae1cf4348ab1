"""From a fitted estimator to a model package that every other part of phytoscope reads."""

import dataclasses
import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image

from phytoscope.errors import ArtifactError
from phytoscope.estimators.networks import PictureModel
from phytoscope.estimators.random_state import seeded
from phytoscope.predict.package import save_package
from phytoscope.predict.package_files import DESCRIPTION_NAME, WEIGHTS_NAME
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import OnnxExport

LIMITATIONS: Final = (
    "No test images were kept apart: how good the model is, a cross-validation with the plants as groups tells.",
    "No answer carries a verdict, an interval or a calibrated probability: the model never says that it does not know.",
    "`phytoscope run` makes packages that are measured and that judge their answers.",
    "The golden images are pictures as the network saw them.",
)


@dataclasses.dataclass(frozen=True)
class Label:
    """What a package shall say of itself.

    Attributes:
        name: Name of the model.
        target: Name of the number that it predicts; not read for classes.
        unit: Its unit; not read for classes.
        licence: Licence of the trained model.
    """

    name: str
    target: str = ""
    unit: str = ""
    licence: str = "not stated"


def write_package(model: PictureModel, folder: Path, label: Label, onnx: OnnxExport) -> None:
    """Writes a package, atomically; once it has reproduced its golden answers, an older one in its place is replaced.

    Args:
        model: What was learned.
        folder: Where the package shall stand.
        label: What it shall say of itself.
        onnx: Whether to write an ONNX file.

    Raises:
        ArtifactError: There is something in that place which is no package.
        MissingDependencyError: `onnx` is `always` and the export extra is not installed.
        PackageError: The package does not reproduce its golden answers, or `onnx` is `always` and the network cannot be
            exported.
        StorageError: The place cannot be written.
    """
    _check_replaceable(folder)
    plain = model.predictor.description
    is_value = len(plain.class_names) == 0
    description = dataclasses.replace(
        plain,
        name=label.name,
        target_name=label.target if is_value else plain.target_name,
        unit=label.unit if is_value else plain.unit,
        licence=label.licence,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    with seeded():
        predictor = Predictor(description, model.predictor.network.state_dict())
    with TemporaryDirectory(prefix="phytoscope-") as place:
        golden = [Path(place, f"{number}.png") for number in range(len(model.examples))]
        for path, square in zip(golden, model.examples, strict=True):
            Image.fromarray(square).save(path)
        save_package(predictor, golden, folder, onnx=onnx, limitations=LIMITATIONS)


def _check_replaceable(folder: Path) -> None:
    # Many a project has a package.json of its own.
    is_package = all((folder / name).is_file() for name in (DESCRIPTION_NAME, WEIGHTS_NAME))
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if is_package or is_empty or not folder.exists():
        return
    what = "a folder with something else in it" if folder.is_dir() else "a file"
    message = (
        f"{str(folder)!r} is {what}, which would be replaced: choose another folder, or the one of an older package."
    )
    raise ArtifactError(message)
