"""The model card: what a person should know before using a package."""

from collections.abc import Sequence
from pathlib import Path

from phytoscope.predict.description import read_meaning
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task

_NOT_DEFINED = "not defined"


def write_card(path: Path, description: ModelDescription, limitations: Sequence[str]) -> None:
    """Writes the card as Markdown.

    Args:
        path: File to write.
        description: What the model is.
        limitations: Sentences a user must know; each becomes an item.
    """
    path.write_text("\n".join(_lines(description, limitations)) + "\n", encoding="utf-8")


def _lines(description: ModelDescription, limitations: Sequence[str]) -> list[str]:
    if description.task is Task.classification:
        names = ", ".join(f"`{name}`" for name in description.class_names)
        answer = f"one of {len(description.class_names)} classes: {names}"
    else:
        answer = " and ".join(f"`{name}`{f' in {unit}' if unit else ''}" for name, unit in description.units.items())
    metrics = [
        f"| `{name}` | {_NOT_DEFINED if value is None else format(value, '.4g')} |"
        for name, value in description.metrics.items()
    ]
    beside = _list_covariates(description)
    size = description.preprocess["size_px"]
    return [
        f"# {description.name}",
        "",
        f"Predicts {answer} from one photograph{' and what is known of the plant' if beside else ''}.",
        "",
        *beside,
        "| fact | value |",
        "|---|---|",
        f"| model id | `{description.model_id}` |",
        f"| backbone | `{description.backbone}` ({description.weights_origin}) |",
        f"| input | {size} x {size} px, {description.preprocess['resize']} |",
        f"| data hash | `{description.data_hash}` |",
        f"| split hash | `{description.split_hash}` |",
        f"| made | {description.created_at} with phytoscope {description.version} |",
        f"| licence | {description.licence} |",
        "",
        "## Measured on images the model never saw",
        "",
        "| metric | value |",
        "|---|---|",
        *metrics,
        "",
        "## Know before use",
        "",
        *(f"- {sentence}" for sentence in limitations),
        "- The numbers hold for photographs like those it learned from; test it anew for another camera or place.",
        "- It always answers, also for a picture that shows no plant.",
    ]


def _list_covariates(description: ModelDescription) -> list[str]:
    encoder = read_meaning(description).covariates
    if encoder is None:
        return []
    known = ", ".join(f"`{name}` ({words})" for name, words in encoder.describe().items())
    return [f"Beside the photograph it sees {known}; any of these may be missing.", ""]
