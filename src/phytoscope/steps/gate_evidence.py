"""What a challenger brings to the gate: its recorded test answers and report, and what its package proves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from phytoscope.errors import ArtifactError, PackageError
from phytoscope.predict.package import GOLDEN_TOLERANCE, verify_package
from phytoscope.schema.artifact import hash_file, read_json
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.promotion import PromotionCheck
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import PREDICTION, PROB_PREFIX, SAMPLE_ID, SPLIT, Split, Task
from phytoscope.steps.claims import claim_beats_baseline
from phytoscope.steps.register import RUN_DIR_TAG
from phytoscope.steps.telling import TABLES
from phytoscope.track.model_version import PACKAGE_TAG, ModelVersion
from phytoscope.track.registry import Registry


@dataclass(frozen=True)
class Evidence:
    """What was written when the challenger was evaluated.

    Attributes:
        test: Its judged answers for the test rows.
        report: Its report.
    """

    test: pd.DataFrame
    report: EvaluationReport


def read_evidence(registry: Registry, version: ModelVersion, folder: Path) -> Evidence:
    """Reads answers and report of a version: from the folder of its run where that is here, else from MLflow.

    Args:
        registry: Where it is registered.
        version: Which one.
        folder: Where downloads may be put.

    Raises:
        ArtifactError: They are neither here nor there, or cannot be read.
        TrackingError: The registry does not answer.
    """
    run = RunFolder(Path(version.tags.get(RUN_DIR_TAG, "")))
    if is_of_version(run, version):
        places: list[Path | None] = [run.answers, run.report]
    else:
        places = [registry.fetch(version.run_id, f"{TABLES}/{path.name}", folder) for path in (run.answers, run.report)]
    answers, report = places
    if answers is None or report is None:
        message = (
            f"{version.reference} has no table of answers in its MLflow run, and its run folder is not on this "
            "computer: register the run with `phytoscope register`, which keeps both."
        )
        raise ArtifactError(message)
    try:
        table = pd.read_parquet(answers)
    except (OSError, pa.ArrowException) as error:
        message = f"the answers of {version.reference} cannot be read ({error}): evaluate the run again."
        raise ArtifactError(message) from error
    test = table[table[SPLIT].astype(str) == Split.test.value].reset_index(drop=True)
    return Evidence(test, EvaluationReport.from_dict(read_json(report)))


def is_of_version(run: RunFolder, version: ModelVersion) -> bool:
    """Whether the folder of a run is here and still holds the package that was registered.

    Args:
        run: The folder that was noted when the version was registered.
        version: The version.
    """
    description = run.package / "package.json"
    return (
        RUN_DIR_TAG in version.tags
        and all(path.is_file() for path in (description, run.answers, run.report))
        and hash_file(description) == version.tags.get(PACKAGE_TAG)
    )


def check_golden(package: Path) -> PromotionCheck:
    """Whether a package reproduces its golden answers here."""
    try:
        difference = verify_package(package)
    except PackageError as error:
        return PromotionCheck("golden", False, str(error), None, GOLDEN_TOLERANCE)
    reason = f"the package reproduces its golden answers (largest difference {difference:.1g})."
    return PromotionCheck("golden", True, reason, difference, GOLDEN_TOLERANCE)


def check_parity(recorded: pd.DataFrame, answered: pd.DataFrame, about: ModelDescription) -> PromotionCheck:
    """Whether a package answers the test images as its run recorded it.

    Args:
        recorded: Judged answers of the run.
        answered: Judged answers of the package, some of the same images.
        about: What the model is.
    """
    if PREDICTION not in answered or len(answered) == 0:
        return PromotionCheck("parity", False, "no test image was answered, so nothing can be compared.")
    classes = [PROB_PREFIX + name for name in about.class_names]
    columns = classes if about.task is Task.classification else [PREDICTION]
    then = recorded.set_index(SAMPLE_ID).loc[answered[SAMPLE_ID], columns].to_numpy(dtype=np.float64)
    now = answered[columns].to_numpy(dtype=np.float64)
    difference = float(np.abs(now - then).max() / max(1.0, float(np.abs(then).max())))
    # Worded so that a difference that is not a number is refused too.
    passed = difference <= GOLDEN_TOLERANCE
    reason = f"the package answers {len(now)} test images as its run did (largest difference {difference:.1g})."
    if not passed:
        reason = (
            f"the package answers the test images otherwise than its run did (difference {difference:.2g}, allowed "
            f"{GOLDEN_TOLERANCE:g}): were the images changed since then? Evaluate and register the run again."
        )
    return PromotionCheck("parity", passed, reason, difference, GOLDEN_TOLERANCE)


def check_baseline(evidence: Evidence) -> PromotionCheck:
    """Whether a model is better than always giving the same answer, and not clearly worse than another napkin model."""
    claim = claim_beats_baseline(evidence.report)
    return PromotionCheck("baseline", claim.holds, f"on the test rows of its report, {claim.text}.")
