"""The page and the figures of a run's report."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from phytoscope import __version__
from phytoscope.models.meaning import Meaning
from phytoscope.schema.artifact import read_json, write_atomic
from phytoscope.schema.choices import AugmentPreset
from phytoscope.schema.config import RunConfig
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import PATH, SAMPLE_ID
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import PreparedData
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.visualize.figures import draw_figures
from phytoscope.visualize.html import render_report
from phytoscope.visualize.style import save_figures


def write_page(
    context: RunContext,
    prepared: PreparedData,
    answers: pd.DataFrame,
    report: EvaluationReport,
    more_figures: Mapping[str, Figure],
) -> None:
    """Draws every figure and writes the page.

    Args:
        context: Settings and folder.
        prepared: The data.
        answers: Table 8a.
        report: What was measured on it.
        more_figures: Figures that need more than the tables; name -> figure.

    Raises:
        StorageError: The folder cannot be written.
    """
    config, run = context.config, context.run
    history = pd.read_csv(run.history)
    path_of = dict(zip(prepared.rows[SAMPLE_ID], prepared.rows[PATH], strict=True))
    context.progress.start("Drawing the report", None)
    figures = draw_figures(
        report,
        predictions=answers,
        history=history,
        manifest=prepared.rows,
        find_image=lambda sample_id: Path(path_of[sample_id]),
    )
    page = render_report(
        report,
        predictions=answers,
        history=history,
        manifest=prepared.rows,
        rejected=pd.read_csv(run.rejected),
        figures=save_figures({**figures, **more_figures}, run.figures),
        facts=_facts(config, run),
    )
    with write_atomic(run.report_page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    context.progress.finish()


def _facts(config: RunConfig, run: RunFolder) -> dict[str, str]:
    about = read_json(run.model)
    preprocess = Preprocess.from_dict(about["preprocess"])
    augment = config.data.augment
    facts = {
        "backbone": f"{config.model.backbone}, {about['weights_origin']}",
        "trained": f"{config.adapt.kind.value}, {about['mode']}, at most {about['planned_epochs']} epochs, "
        f"seed {config.seed}",
        "input": f"{preprocess.size_px} x {preprocess.size_px} px, {preprocess.resize.value}",
        "augmentation": "none" if augment is AugmentPreset.none else augment.value,
        "settings": " ".join(config.overrides),
        "phytoscope": __version__,
    }
    meaning = Meaning.from_dict(about["meaning"])
    if meaning.targets:
        curves = ", ".join(f"{target.name} {target.scale.transform.value}" for target in meaning.targets)
        curve = meaning.targets[0].scale.transform.value if len(meaning.targets) == 1 else curves
        facts["target learned as"] = f"{curve}, standardised on the training rows"
    if meaning.covariates is not None:
        known = ", ".join(f"{name} ({words})" for name, words in meaning.covariates.describe().items())
        facts["seen beside the image"] = known
    return facts
