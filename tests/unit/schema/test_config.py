"""The schema of the settings agrees with itself."""

import dataclasses
import subprocess
import sys
import typing

import pytest

from phytoscope.schema.choices import DataKind
from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.table import Task


@pytest.mark.parametrize(
    ("kind", "label", "task"),
    [
        (DataKind.folder, None, Task.classification),
        (DataKind.plantvillage, None, Task.classification),
        (DataKind.table, None, Task.regression),
        (DataKind.table, "disease", Task.classification),
        (DataKind.farmbot_biomass, None, Task.regression),
    ],
)
def test_task_follows_from_the_data(kind, label, task):
    """Class folders and columns of classes are classification, columns of numbers regression."""
    assert DataConfig(kind, label=label).task is task


def test_every_group_is_a_field_of_the_run():
    """A group without a field, or a field without a group, would be a setting that nobody reads."""
    groups = {name: kind for name, kind in typing.get_type_hints(RunConfig).items() if dataclasses.is_dataclass(kind)}
    assert groups == SCHEMA_OF_GROUP


@pytest.mark.parametrize("schema", [*SCHEMA_OF_GROUP.values(), RunConfig])
def test_every_documented_setting_exists(schema):
    """The attributes named in the docstring are fields, and every key has its line."""
    documented = {
        line.split(":")[0].strip()
        for line in (schema.__doc__ or "").splitlines()
        if line.startswith("        ") and ":" in line
    }
    fields = {field.name for field in dataclasses.fields(schema)}
    own_groups = set(SCHEMA_OF_GROUP) if schema is RunConfig else set()
    assert fields - own_groups <= documented


def test_silent_progress_is_a_progress():
    """Who wants no bar needs no other code."""
    progress: Progress = SilentProgress()
    progress.start("work", None)
    progress.advance(3, note="x")
    progress.finish()


def test_schema_imports_without_heavy_libraries():
    """What crosses a border is there at once, for the command line's help too."""
    code = (
        "import sys, phytoscope.schema.config, phytoscope.schema.report, phytoscope.schema.run_folder\n"
        "print(sorted({'torch', 'pandas', 'lightning', 'matplotlib', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
