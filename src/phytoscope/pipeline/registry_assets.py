"""The assets after a model: registered, put to the gate, and watched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from phytoscope import __version__
from phytoscope.pipeline.places import DriftPlace, ModelPlace, RunPlace
from phytoscope.pipeline.resources import MlflowResource, WorkspaceResource
from phytoscope.pipeline.running import PARTITIONS, LoggedProgress, compose_settings, told_to_dagster
from phytoscope.pipeline.settings import AssetSettings, set_in_launchpad
from phytoscope.pipeline.show import show_file, show_table, show_values
from phytoscope.pipeline.tracking_links import link_tracked_run
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.target import find_uri


@dg.asset(partitions_def=PARTITIONS, code_version=__version__, group_name="registry", kinds={"mlflow"})
@set_in_launchpad
def registered_model(
    context: dg.AssetExecutionContext,
    config: AssetSettings,
    workspace: WorkspaceResource,
    mlflow: MlflowResource,
    packaged_model: RunPlace,
) -> dg.MaterializeResult[ModelPlace]:
    """The package in the registry, as challenger. The same model is never registered twice."""
    from phytoscope.steps import RunContext
    from phytoscope.steps.register import register_run

    with told_to_dagster(context):
        words = (*packaged_model.words, *config.to_words())
        settings = compose_settings(workspace.open(), context.partition_key, words)
        run = RunFolder(Path(packaged_model.folder))
        progress = LoggedProgress(context.log)
        found = register_run(RunContext(settings, run, progress=progress, say=context.log.info))
        place = ModelPlace(
            packaged_model.folder,
            found.uri,
            found.name,
            found.version,
            partition=packaged_model.partition,
            words=words,
        )
        return dg.MaterializeResult(
            value=place,
            data_version=dg.DataVersion(f"{found.model_id}-{found.version}"),
            metadata={
                **show_values({"name": found.name, "version": found.version, "model_id": found.model_id}),
                "reference": place.reference,
                "registry": dg.MetadataValue.url(mlflow.link_model(found.uri, found.name, found.version)),
                **link_tracked_run(run, settings, mlflow),
            },
        )


@dg.asset(partitions_def=PARTITIONS, code_version=__version__, group_name="registry", kinds={"mlflow"})
@set_in_launchpad
def promoted_model(
    context: dg.AssetExecutionContext,
    config: AssetSettings,
    workspace: WorkspaceResource,
    mlflow: MlflowResource,
    registered_model: ModelPlace,
) -> dg.MaterializeResult[Any]:
    """The gate: the challenger takes the place of the champion when it is not worse anywhere. Every reason is kept."""
    from phytoscope.steps.promote import PromotionRequest, promote

    with told_to_dagster(context):
        words = (*registered_model.words, *config.to_words())
        settings = compose_settings(workspace.open(), context.partition_key, words)
        decision = promote(
            PromotionRequest(
                name=registered_model.name,
                uri=registered_model.uri,
                challenger=registered_model.version,
                rules=settings.promote,
                slices=settings.evaluate.slices,
                seed=settings.seed,
                workers=settings.data.workers,
                progress=LoggedProgress(context.log),
                say=context.log.info,
            )
        )
        champion = "none" if decision.champion is None else str(decision.champion.version)
        return dg.MaterializeResult(
            metadata={
                **show_values({"verdict": decision.verdict.value, "reason": decision.reason}),
                **show_values({"challenger": registered_model.version, "champion_before": champion}),
                "checks": show_table(
                    [
                        {"check": check.name, "passed": "yes" if check.passed else "no", "why": check.reason}
                        for check in decision.checks
                    ]
                ),
                "registry": dg.MetadataValue.url(
                    mlflow.link_model(registered_model.uri, registered_model.name, registered_model.version)
                ),
            },
        )


@dg.asset(
    partitions_def=PARTITIONS,
    code_version=__version__,
    group_name="monitoring",
    kinds={"python"},
    deps=[promoted_model],
    output_required=False,
)
@set_in_launchpad
def drift_report(
    context: dg.AssetExecutionContext, config: AssetSettings, workspace: WorkspaceResource
) -> Iterator[dg.MaterializeResult[DriftPlace]]:
    """New images beside those that the champion was measured on; nothing where `monitor.incoming` names none."""
    with told_to_dagster(context):
        words = tuple(config.to_words())
        opened = workspace.open()
        settings = compose_settings(opened, context.partition_key, words)
        if settings.monitor.incoming is None:
            context.log.info("monitor.incoming names no folder of new images: there is nothing to look at")
            return
        yield _look(context, settings, opened.monitor(context.partition_key), find_uri(settings), words)


def _look(
    context: dg.AssetExecutionContext, settings: RunConfig, monitor: Path, uri: str, words: tuple[str, ...]
) -> dg.MaterializeResult[DriftPlace]:
    from phytoscope.steps.drift import DriftRequest, look_for_drift
    from phytoscope.steps.drift_folder import MonitorFolder
    from phytoscope.steps.model_source import resolve_package

    reference = f"models:/{settings.track.model_name or settings.name}@champion"
    incoming = Path(str(settings.monitor.incoming))
    look = look_for_drift(
        DriftRequest(
            package=resolve_package(reference, uri),
            images=[incoming],
            monitor=monitor,
            settings=settings.monitor,
            # Photographs of one plant are alike: without its name alarms would come too easily.
            group_by=list(settings.data.group_by) if incoming.is_file() else [],
            group_pattern=settings.data.group_pattern,
            seed=settings.seed,
            workers=settings.data.workers,
            progress=LoggedProgress(context.log),
            say=context.log.info,
        )
    )
    # What the last look found still holds while new images wait for the next one.
    last = look.folder or MonitorFolder(monitor).find_last_look()
    report = "" if last is None else str(last / "report.json")
    findings = [] if look.report is None else look.report.findings
    table = [
        {"what": finding.name, "window": finding.window.value, "effect": finding.effect, "p": finding.p_value}
        for finding in findings
    ]
    counts = {"fired": look.fired, "new": look.n_new, "waiting": look.n_waiting, "unreadable": look.n_unreadable}
    return dg.MaterializeResult(
        value=DriftPlace(str(monitor), report, look.sentence, partition=context.partition_key, words=words),
        metadata={
            **show_values({**counts, "said": look.sentence, "champion": reference}),
            "findings": show_table(table),
            **({} if look.page is None else {"page": show_file(look.page)}),
        },
    )
