"""The columns of a model package behind MLflow's interface, and one answer as a row of them."""

from typing import Any, Final

from phytoscope.schema.package import ModelDescription
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.table import LOWER, NOVELTY, PROB_PREFIX, PROBABILITY, REASONS, SET, UPPER, VERDICT, Task
from phytoscope.schema.verdict import REASON_WORDS

IMAGE: Final = "image"
"""The column of the images."""
NUMBER: Final = "double"
TEXT: Final = "string"


def list_answer_columns(model: ModelDescription) -> dict[str, str]:
    """Names of the columns of the answers, in order -> MLflow's name of their type.

    Args:
        model: What the package says about itself.
    """
    columns = {"prediction": TEXT if model.task is Task.classification else NUMBER}
    if model.task is Task.classification:
        columns |= {PROBABILITY: NUMBER, **{f"{PROB_PREFIX}{name}": NUMBER for name in model.class_names}, SET: TEXT}
    else:
        columns |= {"unit": TEXT, LOWER: NUMBER, UPPER: NUMBER}
        for name in list(model.units)[1:]:
            columns |= {f"prediction/{name}": NUMBER, f"unit/{name}": TEXT}
            columns |= {f"{LOWER}/{name}": NUMBER, f"{UPPER}/{name}": NUMBER}
    return {**columns, VERDICT: TEXT, REASONS: TEXT, NOVELTY: NUMBER, "remarks": TEXT, "error": TEXT}


def list_known_columns(model: ModelDescription) -> dict[str, str]:
    """Names of the columns that may stand beside the image -> MLflow's name of their type.

    Args:
        model: What the package says about itself.
    """
    encoders = [model.covariates, *(member.get("covariates") for member in model.members)]
    columns = [column for encoder in encoders if encoder is not None for column in encoder["columns"]]
    return {name_known(column["name"]): TEXT if column["categories"] else NUMBER for column in columns}


def name_known(name: str) -> str:
    """The column of something known beside the image; one that is called like the image's own gets another name."""
    return f"known/{name}" if name == IMAGE else name


def build_row(answer: Prediction, columns: dict[str, str]) -> dict[str, Any]:
    """One answer as a row; what is not known is None.

    Args:
        answer: The answer.
        columns: What `list_answer_columns` gave.
    """
    row: dict[str, Any] = {
        "prediction": answer.value if answer.label is None else answer.label,
        PROBABILITY: answer.probability,
        SET: " | ".join(answer.label_set) or None,
        "unit": answer.unit or None,
        LOWER: answer.lower,
        UPPER: answer.upper,
        VERDICT: answer.verdict or None,
        REASONS: "; ".join(REASON_WORDS[reason] for reason in answer.reasons) or None,
        NOVELTY: answer.novelty,
        "remarks": "; ".join(answer.remarks) or None,
        "error": answer.error or None,
    }
    row |= {f"{PROB_PREFIX}{name}": value for name, value in answer.probabilities.items()}
    for name, unit in answer.units.items():
        row |= {f"prediction/{name}": answer.values.get(name), f"unit/{name}": unit or None}
        row |= {f"{LOWER}/{name}": answer.lowers.get(name), f"{UPPER}/{name}": answer.uppers.get(name)}
    return {name: row.get(name) for name in columns}
