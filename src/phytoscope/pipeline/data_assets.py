"""The assets before a model: the user's data as they are, and as they can be learned from."""

from pathlib import Path

import dagster as dg

from phytoscope import __version__
from phytoscope.pipeline.places import DataPlace, RunPlace
from phytoscope.pipeline.resources import WorkspaceResource
from phytoscope.pipeline.running import (
    PARTITIONS,
    LoggedProgress,
    compose_settings,
    take_step,
    told_to_dagster,
    version_of,
)
from phytoscope.pipeline.settings import AssetSettings, set_in_launchpad
from phytoscope.pipeline.show import show_file, show_table, show_values
from phytoscope.schema.artifact import write_json
from phytoscope.schema.run_folder import RunFolder


@dg.asset(partitions_def=PARTITIONS, code_version=__version__, group_name="data", kinds={"python"})
@set_in_launchpad
def raw_dataset(
    context: dg.AssetExecutionContext, config: AssetSettings, workspace: WorkspaceResource
) -> dg.MaterializeResult[DataPlace]:
    """The user's table and images as they are: how many rows, labels and images there are, and their hash."""
    from phytoscope.steps.survey import find_survey_folder, survey_source

    with told_to_dagster(context):
        words = tuple(config.to_words())
        settings = compose_settings(workspace.open(), context.partition_key, words)
        survey = survey_source(settings, LoggedProgress(context.log))
        path = find_survey_folder(settings) / f"{survey.content_hash[:12]}.json"
        write_json(path, survey.to_dict())
    counts = ("rows", "labelled", "images", "missing", "groups", "faults")
    classes = [{"class": name, "rows": count} for name, count in survey.classes.items()]
    return dg.MaterializeResult(
        value=DataPlace(str(path), survey.content_hash, partition=context.partition_key, words=words),
        data_version=dg.DataVersion(survey.content_hash[:32]),
        metadata={
            **show_values({name: getattr(survey, name) for name in counts}),
            "dagster/row_count": survey.rows,
            "answers": show_table(classes or [{"smallest": survey.smallest, "largest": survey.largest}]),
            "target": f"{survey.target_name} {survey.unit}".strip(),
            "preview": show_table(survey.preview),
            "content_hash": survey.content_hash,
            "source": show_file(settings.data.table or settings.data.root or ""),
        },
    )


@dg.asset(partitions_def=PARTITIONS, code_version=__version__, group_name="data", kinds={"python"})
@set_in_launchpad
def preprocessed_data(
    context: dg.AssetExecutionContext, config: AssetSettings, workspace: WorkspaceResource, raw_dataset: DataPlace
) -> dg.MaterializeResult[RunPlace]:
    """Validated rows and the split by group; every row that was left out is listed with its reason."""
    from phytoscope.steps.run_views import tabulate_answers, tabulate_rejected, tabulate_split

    with told_to_dagster(context):
        words = (*raw_dataset.words, *config.to_words())
        _, place = take_step(context, workspace.open(), "prepare", raw_dataset.content_hash, words)
        run = RunFolder(Path(place.folder))
        split, rejected = tabulate_split(run), tabulate_rejected(run)
        return dg.MaterializeResult(
            value=place,
            data_version=version_of(place, "prepare"),
            metadata={
                "dagster/row_count": sum(row["images"] for row in split),
                "split": show_table(split),
                "answers": show_table(tabulate_answers(run)),
                "left_out": show_table(rejected),
                "run": show_file(run.root),
                "rejected_rows": show_file(run.rejected),
            },
        )
