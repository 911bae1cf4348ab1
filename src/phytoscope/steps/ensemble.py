"""The networks of a cross-validation as one model: what they say together, and how far that can be believed."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from phytoscope import __version__
from phytoscope.evaluate.answers import judge_table, read_labelled
from phytoscope.models.ensemble import join_meanings, join_states
from phytoscope.models.meaning import Meaning
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import save_package, verify_package
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.reference_files import FeatureKeeper, choose_reference, keep_reference
from phytoscope.predict.trust_files import read_trust, write_trust
from phytoscope.schema.artifact import hash_content, hash_file, read_json, write_atomic, write_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.events import RunKind
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import PATH, SHA256, SPLIT, Split
from phytoscope.steps.context import Begin, RunContext, plain_settings, read_report, take_step
from phytoscope.steps.evaluate import describe_run, predict_rows, report_predictions, report_trust
from phytoscope.steps.export import refuse_variants
from phytoscope.steps.external import hash_external, score_external
from phytoscope.steps.package import list_known, name_metrics
from phytoscope.steps.package_parts import list_parts
from phytoscope.steps.prepared import PreparedData, open_cache
from phytoscope.steps.telling import tell_ensemble
from phytoscope.steps.tracking import ended, track_child
from phytoscope.steps.training_job import load_trained
from phytoscope.steps.trust import fit_reference, read_wishes
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.trust import Trust


@dataclass(frozen=True)
class JoinedFolds:
    """What an ensemble is made of.

    Attributes:
        run: Folder of the ensemble.
        folds: Folders of the trained networks.
        apart: One row an image outside of test, predicted by the network that never saw its group.
        seen: Rows that the first network learned from; novelty is measured by that one.
        preprocess: How images become squares, for all networks.
    """

    run: RunFolder
    folds: list[RunFolder]
    apart: Path
    seen: pd.DataFrame
    preprocess: Preprocess


def build_ensemble(config: RunConfig, folds: list[RunFolder], prepared: PreparedData) -> Predictor:
    """Joins trained networks to one predictor, whose answers are the mean of theirs.

    Args:
        config: Settings of the run.
        folds: Folders of the trained networks.
        prepared: The data of the run.

    Raises:
        ArtifactError: A network is not trained.
        WeightsError: A file of weights is damaged.
    """
    abouts = [read_json(run.model) for run in folds]
    members = [Meaning.from_dict(about["meaning"]) for about in abouts]
    state = join_states([load_trained(run) for run in folds])
    description = describe_run(config, prepared, abouts[0], join_meanings(members), state)
    description = dataclasses.replace(description, members=[describe_meaning(member) for member in members])
    return Predictor(description, state)


def join_folds(context: RunContext, prepared: PreparedData, joined: JoinedFolds) -> EvaluationReport | None:
    """Learns how far the ensemble can be believed, evaluates it on test and packs it. Finished steps are skipped.

    Args:
        context: Settings and folder of the run that was cross-validated.
        prepared: The data of the run.
        joined: The networks.

    Returns:
        The report on test; None when the split has no test.

    Raises:
        PhytoscopeError: Anything the user can mend.
    """
    say, run = context.say, joined.run
    child = track_child(context, run, RunKind.ensemble)
    context = dataclasses.replace(child, say=lambda text: say(f"ensemble: {text}"))
    with ended(context.journal):
        return _join(context, prepared, joined)


def _join(context: RunContext, prepared: PreparedData, joined: JoinedFolds) -> EvaluationReport | None:
    config, run = context.config, context.run
    settings = plain_settings(config)
    files = [hash_file(fold.weights) for fold in joined.folds] + [hash_file(joined.apart)]
    known = [settings["evaluate"], config.seed, hash_external(config), settings["name"]]
    inputs = hash_content([files, prepared.split_hash, known, __version__])
    has_test = len(prepared.of(Split.test)) > 0
    take_step(context, "evaluate", inputs, _evaluator(context, prepared, joined, has_test=has_test))
    report = read_report(run) if has_test else None
    inputs = hash_content([inputs, settings["package"]])
    take_step(context, "package", inputs, _packer(context, prepared, joined.folds, report))
    tell_ensemble(context, prepared, report, inputs=inputs)
    return report


def fit_apart_trust(apart: pd.DataFrame, predictor: Predictor, wishes: TrustWishes) -> Trust:
    """Learns how far an ensemble can be believed from the answers of its networks for groups they never saw.

    With few plants none can be spared for a calibration split, and here every plant calibrates once (CV+ without its
    second half; Barber 2021, doi 10.1214/20-AOS1965). What is promised is exact for one network; that the mean of
    several is at least as good as one of them, as it is on average for every convex loss, is not proven for every
    single answer.

    Args:
        apart: Table 7 of all images outside of test, each predicted by the network that never saw its group.
        predictor: The ensemble.
        wishes: What is wanted.
    """
    description = predictor.description
    more = [target.name for target in predictor.meaning.targets[1:]]
    rows = read_labelled(apart, description.task, description.class_names, more)
    return fit_trust(description.task, rows, rows, wishes)


def _evaluator(
    context: RunContext, prepared: PreparedData, joined: JoinedFolds, *, has_test: bool
) -> Callable[[Begin], list[Path]]:
    def evaluate(begin: Begin) -> list[Path]:
        begin()
        predictor = build_ensemble(context.config, joined.folds, prepared)
        cache = open_cache(context, prepared, joined.preprocess)
        predictor.novelty = fit_reference(context, predictor, cache, joined.seen)
        wishes = read_wishes(context.config, predictor)
        predictor.trust = fit_apart_trust(pd.read_parquet(joined.apart), predictor, wishes)
        kept = write_trust(context.run.root, predictor.trust, predictor.novelty)
        if not has_test:
            return kept
        rows = prepared.of(Split.test).reset_index(drop=True)
        keeper = FeatureKeeper(choose_reference(rows, context.config.seed))
        predictions = predict_rows(context, predictor, cache, rows, keeper)
        written = _report(context, prepared, predictor, predictions, len(joined.folds))
        answers = pd.read_parquet(context.run.answers)
        return [*kept, *written, *keep_reference(context.run.root, answers, rows[SHA256].tolist(), keeper)]

    return evaluate


def _report(
    context: RunContext, prepared: PreparedData, predictor: Predictor, predictions: pd.DataFrame, networks: int
) -> list[Path]:
    config, run = context.config, context.run
    trust = predictor.trust if predictor.trust is not None else Trust(config.data.task)
    more = [target.name for target in predictor.meaning.targets[1:]]
    answers = judge_table(predictions, trust, predictor.description.class_names, more)
    for table, path in ((predictions, run.predictions), (answers, run.answers)):
        with write_atomic(path) as temporary:
            table.to_parquet(temporary, index=False)
    learned = prepared.rows[prepared.rows[SPLIT] != Split.test.value]
    name = f"{config.name}, {networks} networks"
    report = report_predictions(config, prepared, predictor, answers, learned, name=name)
    report = dataclasses.replace(
        report,
        trust=report_trust(config, predictor, predictions, answers, Split.test.value),
        external=score_external(context, prepared, predictor, read_wishes(config, predictor)),
    )
    write_json(run.report, report.to_dict())
    further = [run.external] if run.external.exists() else []
    return [run.predictions, run.answers, run.report, *further]


def _packer(
    context: RunContext, prepared: PreparedData, folds: list[RunFolder], report: EvaluationReport | None
) -> Callable[[Begin], list[Path]]:
    config, run = context.config, context.run

    refuse_variants(config.package)

    def pack(begin: Begin) -> list[Path]:
        begin()
        context.progress.start("Packaging the ensemble", None)
        predictor = build_ensemble(config, folds, prepared)
        predictor.trust, predictor.novelty = read_trust(run.root)
        test = None if report is None else report.splits.get(Split.test.value)
        metrics = {} if test is None else name_metrics(test)
        predictor.description = dataclasses.replace(predictor.description, metrics=metrics)
        rows = prepared.of(Split.test) if test is not None else prepared.of(Split.val)
        chosen = rows.iloc[:: max(1, len(rows) // config.package.golden)][: config.package.golden]
        remarks = save_package(
            predictor,
            [Path(path) for path in chosen[PATH]],
            run.package,
            onnx=config.package.onnx,
            limitations=[] if report is None else report.warnings,
            known=list_known(predictor, chosen),
            report=report,
            further=list_parts(run, prepared),
        )
        difference = verify_package(run.package)
        context.progress.finish()
        for remark in remarks:
            context.say(remark)
        context.say(f"package of {len(folds)} networks reproduces its golden answers (difference {difference:.1g})")
        return [run.package]

    return pack
