"""The assets of a model: trained, evaluated, packaged."""

from pathlib import Path
from typing import Any

import dagster as dg

from phytoscope import __version__
from phytoscope.pipeline.places import RunPlace
from phytoscope.pipeline.resources import MlflowResource, WorkspaceResource
from phytoscope.pipeline.running import PARTITIONS, TRAINING_POOL, take_step, told_to_dagster, version_of
from phytoscope.pipeline.settings import AssetSettings, set_in_launchpad
from phytoscope.pipeline.show import show_file, show_table, show_values
from phytoscope.pipeline.tracking_links import link_tracked_run
from phytoscope.schema.artifact import read_json
from phytoscope.schema.run_folder import RunFolder


@dg.asset(
    partitions_def=PARTITIONS, code_version=__version__, group_name="model", kinds={"pytorch"}, pool=TRAINING_POOL
)
@set_in_launchpad
def trained_model(
    context: dg.AssetExecutionContext,
    config: AssetSettings,
    workspace: WorkspaceResource,
    mlflow: MlflowResource,
    preprocessed_data: RunPlace,
) -> dg.MaterializeResult[RunPlace]:
    """The trained network; a training that was interrupted goes on where it stopped. One training runs at a time."""
    from phytoscope.steps.run_views import show_history, tabulate_history

    with told_to_dagster(context):
        words = (*preprocessed_data.words, *config.to_words())
        settings, place = take_step(context, workspace.open(), "train", preprocessed_data.content_hash, words)
        run = RunFolder(Path(place.folder))
        history = tabulate_history(run)
        about = read_json(run.model)
        return dg.MaterializeResult(
            value=place,
            data_version=version_of(place, "train"),
            metadata={
                "epochs": len(history),
                "curves": dg.MetadataValue.md(show_history(run, settings.data.task)),
                "history": show_table(history),
                **show_values({"way": str(about["mode"]), "weights_origin": str(about["weights_origin"])}),
                "seconds": float(read_json(run.record("train"))["seconds"]),
                "weights": show_file(run.weights),
                "run": show_file(run.root),
                **link_tracked_run(run, settings, mlflow),
            },
        )


@dg.asset(partitions_def=PARTITIONS, code_version=__version__, group_name="model", kinds={"python"})
@set_in_launchpad
def model_evaluation(
    context: dg.AssetExecutionContext,
    config: AssetSettings,
    workspace: WorkspaceResource,
    mlflow: MlflowResource,
    trained_model: RunPlace,
) -> dg.MaterializeResult[RunPlace]:
    """What the model answers for images it never learned from, and how far that can be believed."""
    from phytoscope.steps.context import read_report
    from phytoscope.steps.run_views import read_main_metric, show_main_figure, tabulate_metrics

    with told_to_dagster(context):
        words = (*trained_model.words, *config.to_words())
        settings, place = take_step(context, workspace.open(), "evaluate", trained_model.content_hash, words)
        run = RunFolder(Path(place.folder))
        metric, value = read_main_metric(run)
        warnings = [{"before believing the numbers": sentence} for sentence in read_report(run).warnings]
        return dg.MaterializeResult(
            value=place,
            data_version=version_of(place, "evaluate"),
            metadata={
                **({} if value is None else {metric: value}),
                "metrics": show_table(tabulate_metrics(run)),
                "figure": dg.MetadataValue.md(show_main_figure(run)),
                "warnings": show_table(warnings),
                "report": show_file(run.report_page),
                "predictions": show_file(run.predictions),
                **link_tracked_run(run, settings, mlflow),
            },
        )


@dg.asset(partitions_def=PARTITIONS, code_version=__version__, group_name="model", kinds={"python"})
@set_in_launchpad
def packaged_model(
    context: dg.AssetExecutionContext, config: AssetSettings, workspace: WorkspaceResource, model_evaluation: RunPlace
) -> dg.MaterializeResult[RunPlace]:
    """One folder with all that answering new images needs; it reproduces its own golden answers."""
    with told_to_dagster(context):
        words = (*model_evaluation.words, *config.to_words())
        _, place = take_step(context, workspace.open(), "package", model_evaluation.content_hash, words)
        run = RunFolder(Path(place.folder))
        model: dict[str, Any] = read_json(run.package / "package.json")["model"]
        parts = [path for path in sorted(run.package.rglob("*")) if path.is_file()]
        sizes = [
            {"part": path.relative_to(run.package).as_posix(), "kB": round(path.stat().st_size / 1000, 1)}
            for path in parts
        ]
        return dg.MaterializeResult(
            value=place,
            data_version=version_of(place, "package"),
            metadata={
                **show_values({name: str(model[name]) for name in ("model_id", "backbone", "data_hash", "split_hash")}),
                "parts": show_table(sizes),
                "card": dg.MetadataValue.md((run.package / "MODEL_CARD.md").read_text(encoding="utf-8")),
                "package": show_file(run.package),
            },
        )
