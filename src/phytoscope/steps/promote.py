"""A challenger is put to the gate: it and the champion answer the same test images, and the registry follows."""

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from phytoscope.errors import ArtifactError
from phytoscope.evaluate.compare import Answers
from phytoscope.evaluate.gate import GatePlan, GateSide, decide_promotion
from phytoscope.predict.package import load_package
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.seen_files import SeenImages, read_seen
from phytoscope.schema.artifact import write_atomic, write_json
from phytoscope.schema.operate import PromoteConfig
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.promotion import Contender, PromotionCheck, PromotionDecision, SliceGain
from phytoscope.schema.table import PATH, Task
from phytoscope.steps.gate_answers import UNREADABLE, UnseenAnswers, answer_unseen
from phytoscope.steps.gate_evidence import check_baseline, check_golden, check_parity, read_evidence
from phytoscope.steps.model_source import find_store, keep_package
from phytoscope.track.model_version import CHALLENGER, CHAMPION, PREFIX, ROLLBACK, ModelVersion
from phytoscope.track.registry import Registry

DECISION_TAG: Final = f"{PREFIX}decision"
REASON_TAG: Final = f"{PREFIX}reason"
DECIDED_TAG: Final = f"{PREFIX}decided_at"
FILE_TAG: Final = f"{PREFIX}decision_file"
JSON_FILE, SLICES_FILE = "promotion.json", "slices.csv"
_NOTHING_SEEN: Final = SeenImages(frozenset(), frozenset())
_LONGEST: Final = 4000


def _ignore(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class PromotionRequest:
    """Which model to put to the gate, and how.

    Attributes:
        name: Name of the registered model.
        uri: Address of the registry; see `choose_uri`.
        challenger: Number of the version; when None, the one with the alias `challenger`, else the newest.
        rules: When it passes.
        slices: Columns of the test rows that are looked at, beside those that always are.
        seed: Seed of the draws.
        after_rollback: Whether a version that somebody has rolled back may become champion again.
        dry_run: Whether the registry stays as it is.
        output: Folder for `promotion.json` and `slices.csv`; None for none.
        cache: Folder that downloaded packages are kept in; see `find_cache`.
        workers: Threads that read images; None for one a core.
        progress: Receiver of progress.
        say: Receiver of sentences for the user.
    """

    name: str
    uri: str | None = None
    challenger: int | None = None
    rules: PromoteConfig = field(default_factory=PromoteConfig)
    slices: Sequence[str] = ()
    seed: int = 0
    after_rollback: bool = False
    dry_run: bool = False
    output: Path | None = None
    cache: Path | None = None
    workers: int | None = None
    progress: Progress = field(default_factory=SilentProgress)
    say: Callable[[str], None] = _ignore


def promote(request: PromotionRequest) -> PromotionDecision:
    """Decides whether a challenger becomes champion, notes the decision with its reasons, and does what it says.

    Args:
        request: Which model, and how.

    Returns:
        The decision; that of before when the version is champion already.

    Raises:
        ArtifactError: There is no such model, its test images are not here, or the models answer different questions.
        PackageError: A package is damaged.
        TrackingError: The registry does not answer, or another process changed the champion meanwhile.
        StorageError: The output cannot be written.
    """
    registry = Registry(find_store(request.uri))
    champion = registry.find(request.name, CHAMPION)
    challenger = _find_challenger(registry, request)
    if champion is not None and champion.version == challenger.version:
        request.say(f"version {champion.version} is champion of {request.name!r} already")
        decision = read_decision(registry, champion)
    else:
        decision = _decide(registry, challenger, champion, request)
        if not request.dry_run:
            _note(registry, challenger, decision)
            if decision.is_accepted:
                how = "first" if champion is None else "promoted"
                instead_of = None if champion is None else champion.version
                registry.crown(request.name, challenger.version, how, instead_of=instead_of)
                registry.drop_alias(request.name, CHALLENGER)
    if request.output is not None:
        _write(decision, request.output)
    return decision


def read_decision(registry: Registry, version: ModelVersion) -> PromotionDecision:
    """The decision that was noted for a version.

    Raises:
        ArtifactError: None was, or it cannot be read.
        TrackingError: The registry does not answer.
    """
    place = version.tags.get(FILE_TAG)
    with tempfile.TemporaryDirectory(prefix="phytoscope-") as folder:
        found = None if place is None else registry.fetch(version.run_id, place, Path(folder))
        if found is None:
            message = f"no decision was noted for version {version.version} of {version.name!r}: it was made by hand."
            raise ArtifactError(message)
        try:
            content = json.loads(found.read_text(encoding="utf-8"))
        except ValueError as error:
            message = (
                f"the decision {place!r} of {version.name!r} is damaged ({error}): decide again with "
                "`phytoscope promote`."
            )
            raise ArtifactError(message) from error
    return PromotionDecision.from_dict(content)


def _find_challenger(registry: Registry, request: PromotionRequest) -> ModelVersion:
    if request.challenger is not None:
        return registry.get(request.name, request.challenger)
    found = registry.find(request.name, CHALLENGER)
    if found is not None:
        return found
    versions = registry.versions(request.name)
    # The same error as for any other name that is not there.
    return versions[0] if versions else registry.get(request.name, CHALLENGER)


def _decide(
    registry: Registry, challenger: ModelVersion, champion: ModelVersion | None, request: PromotionRequest
) -> PromotionDecision:
    folder = keep_package(registry, challenger, request.cache)
    predictors = [load_package(folder)]
    seen = [read_seen(folder) or _NOTHING_SEEN]
    with tempfile.TemporaryDirectory(prefix="phytoscope-") as received:
        evidence = read_evidence(registry, challenger, Path(received))
    if champion is not None:
        other = keep_package(registry, champion, request.cache)
        predictors.append(load_package(other))
        seen.append(_read_seen_by_champion(other, predictors))
    versions = [challenger, *([] if champion is None else [champion])]
    answered = answer_unseen(predictors, evidence.test, seen, workers=request.workers, progress=request.progress)
    _check_readable(evidence.test, answered)
    sides = [
        _build_side(predictor, table, version)
        for predictor, table, version in zip(predictors, answered.tables, versions, strict=True)
    ]
    proofs = [
        check_golden(folder),
        check_parity(evidence.test, answered.tables[0], predictors[0].description),
        check_baseline(evidence),
        *([] if request.after_rollback else _check_history(registry, challenger)),
    ]
    plan = GatePlan(request.rules, seed=request.seed, slices=tuple(request.slices))
    return decide_promotion(
        request.name,
        sides[0],
        None if champion is None else sides[1],
        proofs,
        plan,
        left_out=answered.left_out,
    )


def _check_history(registry: Registry, challenger: ModelVersion) -> list[PromotionCheck]:
    """What a person has decided stays decided, however often the pipeline asks."""
    reigns = registry.history(challenger.name)
    last = next((place for place, reign in enumerate(reigns) if reign.version == challenger.version), 0)
    if last == 0 or reigns[last - 1].how != ROLLBACK:
        return []
    reason = (
        f"somebody rolled version {challenger.version} back at {reigns[last - 1].at}: name it with `phytoscope promote "
        f"{challenger.name} --challenger {challenger.version}` to put it to the gate all the same."
    )
    return [PromotionCheck(ROLLBACK, False, reason)]


def _read_seen_by_champion(folder: Path, predictors: list[Predictor]) -> SeenImages:
    found = read_seen(folder)
    if found is not None:
        return found
    challenger, champion = (predictor.description for predictor in predictors)
    if challenger.split_hash == champion.split_hash:
        return _NOTHING_SEEN
    message = (
        f"the champion (model {champion.model_id}) was packaged by an earlier version that does not say which "
        "images it has learned from, and the challenger was split otherwise: package the champion's run again and "
        "register it, or make the challenger champion by hand with `phytoscope rollback NAME --to VERSION`."
    )
    raise ArtifactError(message)


def _check_readable(test: pd.DataFrame, answered: UnseenAnswers) -> None:
    if len(test) > 0 and answered.left_out.get(UNREADABLE, 0) == len(test):
        message = (
            f"none of the {len(test)} test images can be read, the first one is {str(test[PATH].iloc[0])!r}: run the "
            "command on the computer that holds the images, or bring them back to where they were."
        )
        raise ArtifactError(message)


def _build_side(predictor: Predictor, table: pd.DataFrame, version: ModelVersion) -> GateSide:
    about, trust = predictor.description, predictor.trust
    is_class = about.task is Task.classification
    promised: float | None = None
    if trust is not None:
        rule = trust.sets if is_class else (trust.intervals[0] if trust.intervals else None)
        promised = None if rule is None else float(rule.promised)
    answers = Answers(
        name=f"version {version.version}",
        table=table,
        task=about.task,
        class_names=list(about.class_names),
        unit=about.unit,
        target_name=about.target_name,
        split_hash=about.split_hash,
    )
    contender = Contender(about.model_id, about.name, version.version, about.data_hash, about.split_hash)
    return GateSide(contender, answers, promised)


def _note(registry: Registry, challenger: ModelVersion, decision: PromotionDecision) -> None:
    stamp = decision.decided_at.replace(":", "").replace("+0000", "Z")
    place = f"promotion/{stamp}-version-{challenger.version}.json"
    registry.keep_text(challenger.run_id, json.dumps(decision.to_dict(), indent=2, ensure_ascii=False), place)
    tags = {
        DECISION_TAG: decision.verdict.value,
        REASON_TAG: decision.reason[:_LONGEST],
        DECIDED_TAG: decision.decided_at,
        FILE_TAG: place,
    }
    registry.note(challenger.name, challenger.version, tags)


def _write(decision: PromotionDecision, folder: Path) -> None:
    write_json(folder / JSON_FILE, decision.to_dict())
    columns = [entry.name for entry in dataclasses.fields(SliceGain)]
    table = pd.DataFrame([dataclasses.asdict(part) for part in decision.slices], columns=columns)
    with write_atomic(folder / SLICES_FILE) as temporary:
        table.to_csv(temporary, index=False)
