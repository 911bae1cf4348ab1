"""Row 9 of the data flow: from the report to a model package."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from phytoscope import __version__
from phytoscope.predict.engines.build import list_versions
from phytoscope.predict.package import save_package, verify_package
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.trust_files import read_trust
from phytoscope.schema.artifact import hash_content, hash_file, write_folder_atomic
from phytoscope.schema.report import SplitReport
from phytoscope.schema.table import PATH, Split
from phytoscope.steps.context import Begin, RunContext, check_whole, plain_settings, read_report, take_step
from phytoscope.steps.evaluate import build_predictor
from phytoscope.steps.export import export_variants, wants_variants
from phytoscope.steps.package_parts import list_parts
from phytoscope.steps.prepared import PreparedData, read_prepared
from phytoscope.steps.telling import tell_package
from phytoscope.steps.train import check_trained
from phytoscope.steps.training_job import read_columns


def run_package(context: RunContext) -> None:
    """Packs the evaluated model, and lets the package prove itself.

    Raises:
        ArtifactError: The model is not trained or not evaluated with these settings.
        PackageError: The package does not reproduce its golden answers.
    """
    prepared = read_prepared(context)
    check_trained(context, prepared)
    run = context.run
    check_whole(run, "evaluate")
    settings = plain_settings(context.config)
    # Data without held-out images leave nothing with which new images could be compared.
    reference = [run.reference] if run.reference.is_file() else []
    files = [hash_file(path) for path in (run.weights, run.report, run.trust, *reference)]
    # A certificate is of these versions, and a library that was missing may be there now.
    libraries = [list_versions()] if wants_variants(context.config.package) else []
    inputs = hash_content([*files, settings["package"], __version__, *libraries])
    take_step(context, "package", inputs, lambda begin: _write(context, prepared, begin))
    tell_package(context, prepared)


def _write(context: RunContext, prepared: PreparedData, begin: Begin) -> list[Path]:
    begin()
    config, run = context.config, context.run
    context.progress.start("Packaging the model", None)
    report = read_report(run)
    predictor = build_predictor(config, run, prepared)
    predictor.trust, predictor.novelty = read_trust(run.root)
    test = report.splits.get(Split.test.value)
    metrics = {} if test is None else name_metrics(test)
    predictor.description = dataclasses.replace(predictor.description, metrics=metrics)
    rows = prepared.of(Split.test) if test is not None else prepared.of(Split.val)
    step = max(1, len(rows) // config.package.golden)
    chosen = rows.iloc[::step][: config.package.golden]
    # An older package stays until the new one is whole, with all that was asked for.
    with write_folder_atomic(run.package) as package:
        remarks = save_package(
            predictor,
            [Path(path) for path in chosen[PATH]],
            package,
            onnx=config.package.onnx,
            limitations=report.warnings,
            known=list_known(predictor, chosen),
            report=report,
            further=list_parts(run, prepared),
        )
        difference = verify_package(package)
        export_variants(context, prepared, package)
    context.progress.finish()
    for remark in remarks:
        context.say(remark)
    context.say(
        f"package {predictor.description.model_id} reproduces its golden answers (largest difference {difference:.1g})"
    )
    return [run.package]


def list_known(predictor: Predictor, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What a model sees beside the images of some rows, under the user's names."""
    encoder, columns = predictor.meaning.covariates, read_columns(rows)
    names = () if encoder is None else encoder.names
    return [{name: columns[name].iloc[place] for name in names} for place in range(len(rows))]


def name_metrics(test: SplitReport) -> dict[str, float | None]:
    """Names the metrics of test as a package keeps them: `test/<metric>` and `test/<further target>/<metric>`."""
    metrics = {f"test/{metric.name}": metric.value for metric in test.metrics}
    for target in test.more_targets:
        metrics |= {f"test/{target.name}/{metric.name}": metric.value for metric in target.metrics}
    return metrics
