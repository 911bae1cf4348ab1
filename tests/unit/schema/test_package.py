"""What a package says about itself survives JSON, and an incomplete description is refused."""

import json

import pytest

from phytoscope.errors import PackageError
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task


def describe(task=Task.classification):
    names = ["healthy", "rust"] if task is Task.classification else []
    return ModelDescription(
        "run", "0" * 16, task, "resnet18", names, "weight", "g", {"size_px": 32}, None, "random", "d", "s"
    )


@pytest.mark.parametrize(("task", "outputs"), [(Task.classification, 2), (Task.regression, 1)])
def test_description_survives_json(task, outputs):
    """Nothing is lost on the way to the disk and back."""
    description = describe(task)
    assert ModelDescription.from_dict(json.loads(json.dumps(description.to_dict()))) == description
    assert description.outputs == outputs


@pytest.mark.parametrize(("name", "value"), [("backbone", None), ("task", "guessing"), ("unknown", 1)])
def test_incomplete_description_is_refused(name, value):
    """A field that is missing, unknown or impossible is named."""
    content = describe().to_dict()
    if value is None:
        del content[name]
    else:
        content[name] = value
    with pytest.raises(PackageError, match=f"the model description is not complete .*(?:{name}|{value})"):
        ModelDescription.from_dict(content)
