"""What a package says about the inputs and outputs of its network, and what a network with them answers."""

import dataclasses
from typing import Any

from phytoscope.models.covariates import CovariateEncoder
from phytoscope.models.ensemble import join_meanings
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.sums import Sums
from phytoscope.models.target import TargetScale
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task


def describe_meaning(meaning: Meaning) -> dict[str, Any]:
    """The fields of a `ModelDescription` that say what goes in beside the image and what comes out."""
    targets = [
        {"name": target.name, "unit": target.unit, "scale": target.scale.to_dict()} for target in meaning.targets
    ]
    main = targets[0] if targets else None
    return {
        "task": meaning.task,
        "class_names": list(meaning.class_names),
        "target_name": "class" if main is None else main["name"],
        "unit": "" if main is None else main["unit"],
        "target_scale": None if main is None else main["scale"],
        "more_targets": targets[1:],
        "covariates": None if meaning.covariates is None else meaning.covariates.to_dict(),
        "sums": None if meaning.sums is None else meaning.sums.to_dict(),
    }


def read_meaning(description: ModelDescription) -> Meaning:
    """What goes into the network beside the image, and what its outputs are.

    Raises:
        ValueError: A number is predicted and its scale is missing.
        KeyError: A part is not complete.
        TypeError: A part is not what it should be.
    """
    if description.members:
        parts = [{**entry, "task": Task(entry["task"]), "members": []} for entry in description.members]
        return join_meanings([read_meaning(dataclasses.replace(description, **part)) for part in parts])
    found = description.covariates
    covariates = None if found is None else CovariateEncoder.from_dict(found)
    if description.task is Task.classification:
        return Meaning(class_names=tuple(description.class_names), covariates=covariates)
    if description.target_scale is None:
        message = "a number is predicted, but the scale on which it is learned is missing"
        raise ValueError(message)
    main = {"name": description.target_name, "unit": description.unit, "scale": description.target_scale}
    targets = (
        TargetMeaning(entry["name"], entry["unit"], TargetScale.from_dict(entry["scale"]))
        for entry in (main, *description.more_targets)
    )
    sums = None if description.sums is None else Sums.from_dict(description.sums)
    return Meaning(targets=tuple(targets), covariates=covariates, sums=sums)
