"""Explanations for photographs from anywhere: pictures, a table and one page in a folder."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from phytoscope.errors import ConfigError, DataNotFoundError, ImageReadError
from phytoscope.predict.explain import Explainer
from phytoscope.predict.package import DESCRIPTION_NAME, load_package
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.sources import list_images
from phytoscope.schema.artifact import write_folder_atomic
from phytoscope.schema.explanation import (
    ExplainedImage,
    Explanation,
    ExplanationMethod,
    ExplanationReport,
    report_explanations,
)
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import Progress
from phytoscope.transforms.photo import Photo
from phytoscope.visualize.explanations import PICTURES_SHOWN, ExplainedPicture, build_explanation_page, lay_heat
from phytoscope.visualize.text import format_quantity, prettify_class

TABLE_NAME, PAGE_NAME, PICTURES_NAME = "explanations.csv", "explanations.html", "pictures"
_BATCH = 8
_STEM = 60


def load_model(place: Path) -> Predictor:
    """Loads the model of a package, or of the run that made one.

    Raises:
        PackageError: There is no package, or it is damaged.
    """
    inside = place / "package"
    return load_package(inside if (inside / DESCRIPTION_NAME).is_file() else place)


def explain_files(
    predictor: Predictor,
    sources: Sequence[Path],
    output: Path,
    *,
    method: ExplanationMethod,
    overwrite: bool = False,
    progress: Progress,
) -> tuple[ExplanationReport, int]:
    """Explains the answer for every image and writes a folder: `pictures/`, `explanations.csv`, `explanations.html`.

    An image that cannot be read becomes a row with an `error`.

    Args:
        predictor: The model.
        sources: Image files, folders and lists of paths, as for `predict_files`.
        output: Folder to write; it appears when it is whole.
        method: How the heat maps are made.
        overwrite: Whether an older folder of explanations may be replaced.
        progress: Told about every image.

    Returns:
        What the explanations say together, and how many images could not be read.

    Raises:
        ConfigError: The output exists, or the method does not fit the model.
        DataNotFoundError: A source does not exist, or no image is found.
        DataValidationError: A list has no column of paths, or is a table of another kind than text.
        MissingDependencyError: The extra `explain` is not installed.
        StorageError: The output cannot be written.
    """
    _check_output(output, overwrite=overwrite)
    for source in sources:
        if not source.exists():
            message = f"there is no file or folder {str(source)!r}: name images, folders or a list of paths."
            raise DataNotFoundError(message)
    paths = list(list_images(sources))
    if not paths:
        message = (
            f"no image found in {', '.join(repr(str(source)) for source in sources)}: name images, or their folder."
        )
        raise DataNotFoundError(message)
    explainer = Explainer(predictor, method)
    progress.start("Explaining", len(paths))
    rows: list[ExplainedImage] = []
    lines: list[dict[str, object]] = []
    shown: list[ExplainedPicture] = []
    with write_folder_atomic(output) as folder:
        (folder / PICTURES_NAME).mkdir()
        for batch in _read(predictor, paths):
            pictures = iter(_explain(explainer, [(name, photo) for name, photo, _ in batch if photo is not None]))
            for name, photo, fault in batch:
                if photo is None:
                    lines.append({"name": name, "error": fault})
                    continue
                picture = next(pictures)
                place = f"{PICTURES_NAME}/{len(rows) + 1:04d}_{Path(name).stem[:_STEM]}.png"
                both = np.concatenate([picture.pixels, lay_heat(picture.pixels, picture.heat)], axis=1)
                Image.fromarray(both).save(folder / place)
                rows.append(picture.row)
                lines.append({**picture.row.to_row(), "picture": place, "error": ""})
                shown += [picture] if len(shown) < PICTURES_SHOWN else []
            progress.advance(len(batch))
        report = report_explanations(explainer.method, rows)
        columns = ["name", "answer", "explained", "outside_plant", "plant_share", "looks_outside", "deletion"]
        columns += ["insertion", "random_deletion", "random_insertion", "better_than_random", "picture", "error"]
        pd.DataFrame(lines, columns=columns).rename(columns={"name": "path"}).to_csv(folder / TABLE_NAME, index=False)
        page = build_explanation_page(report, shown, title=predictor.description.name)
        (folder / PAGE_NAME).write_text(page, encoding="utf-8")
    progress.finish()
    return report, len(lines) - len(rows)


def _check_output(output: Path, *, overwrite: bool) -> None:
    if not output.exists():
        return
    if not overwrite:
        message = f"the output {str(output)!r} exists: choose another name, or add --overwrite to replace it."
        raise ConfigError(message)
    # A whole folder is replaced, so it must be one of ours.
    if output.is_dir() and (not any(output.iterdir()) or (output / TABLE_NAME).is_file()):
        return
    message = f"{str(output)!r} is not a folder of explanations: choose another name, so that nothing of yours is lost."
    raise ConfigError(message)


def _read(predictor: Predictor, paths: Sequence[Path]) -> Iterator[list[tuple[str, Photo | None, str]]]:
    """Name, photograph and fault of a few images at a time; one that cannot be read has no photograph."""
    left = iter(paths)
    while batch := list(islice(left, _BATCH)):
        found: list[tuple[str, Photo | None, str]] = []
        for path in batch:
            # Bytes that are not UTF-8 cannot be written into a table.
            name = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
            try:
                found.append((name, predictor.prepare_photo(path), ""))
            except ImageReadError as error:
                found.append((name, None, error.reason))
        yield found


def _explain(explainer: Explainer, photos: Sequence[tuple[str, Photo]]) -> list[ExplainedPicture]:
    if not photos:
        return []
    pixels = np.stack([photo.square for _, photo in photos])
    answers = explainer.predictor.answer([name for name, _ in photos], [photo for _, photo in photos])
    return [
        ExplainedPicture(square, explanation.heat, _describe(answer, explanation))
        for square, explanation, answer in zip(pixels, explainer.explain(pixels), answers, strict=True)
    ]


def _describe(answer: Prediction, explanation: Explanation) -> ExplainedImage:
    if answer.value is not None:
        words = format_quantity(answer.value, answer.unit)
    else:
        words = f"{prettify_class(answer.label or '')} ({100 * (answer.probability or 0.0):.0f} %)"
    return ExplainedImage(
        name=answer.path,
        explained=explanation.explained,
        answer=words,
        truth="",
        is_right=None,
        outside_plant=explanation.outside_plant,
        plant_share=explanation.plant_share,
        looks_outside=explanation.looks_outside,
        test=explanation.test,
    )
