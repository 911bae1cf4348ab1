"""The model card: what a person should know before using a package."""

from collections.abc import Sequence
from pathlib import Path

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
        answer = f"`{description.target_name}`{f' in {description.unit}' if description.unit else ''}"
    metrics = [
        f"| `{name}` | {_NOT_DEFINED if value is None else format(value, '.4g')} |"
        for name, value in description.metrics.items()
    ]
    size = description.preprocess["size_px"]
    return [
        f"# {description.name}",
        "",
        f"Predicts {answer} from one photograph.",
        "",
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
