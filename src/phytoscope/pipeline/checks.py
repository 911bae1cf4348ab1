"""Asset checks: what must hold before anything after an asset may use it. A check that cannot be measured fails."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from phytoscope.errors import PhytoscopeError
from phytoscope.pipeline.places import Place
from phytoscope.pipeline.resources import WorkspaceResource
from phytoscope.pipeline.running import PARTITIONS, compose_settings
from phytoscope.pipeline.show import show_values
from phytoscope.schema.artifact import read_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder

if TYPE_CHECKING:
    from phytoscope.schema.report import EvaluationReport
    from phytoscope.steps.claims import Claim


@dataclass(frozen=True)
class Checked:
    """What a check looks at.

    Attributes:
        place: What the asset handed on.
        config: Settings of the data set, which hold the limits.
    """

    place: Any
    config: RunConfig

    @property
    def run(self) -> RunFolder:
        """Folder of the run."""
        return RunFolder(Path(self.place.folder))

    def read_report(self) -> "EvaluationReport":
        """What was measured.

        Raises:
            ArtifactError: The run was not evaluated.
        """
        from phytoscope.steps.context import read_report

        return read_report(self.run)


def check_rows_and_labels(about: Checked) -> "Claim":
    """There are rows, most of their images are there, and the answers differ."""
    from phytoscope.steps.claims import claim_rows_and_labels
    from phytoscope.steps.survey import Survey

    return claim_rows_and_labels(Survey.from_dict(read_json(Path(about.place.survey))))


def check_no_group_torn(about: Checked) -> "Claim":
    """No plant and no copy of a picture stands in two splits."""
    from phytoscope.steps.claims import claim_no_group_torn

    return claim_no_group_torn(about.run)


def check_target_in_range(about: Checked) -> "Claim":
    """Every target is a finite number within its limits; every class is one that the training images show."""
    from phytoscope.steps.claims import claim_targets_in_range

    return claim_targets_in_range(about.run, about.config)


def check_loss_is_finite(about: Checked) -> "Claim":
    """Every loss of every epoch is a finite number."""
    from phytoscope.steps.claims import claim_loss_finite

    return claim_loss_finite(about.run)


def check_beats_baseline(about: Checked) -> "Claim":
    """On the test images the model is better than every model that a person could write on a napkin."""
    from phytoscope.steps.claims import claim_beats_baseline

    return claim_beats_baseline(about.read_report())


def check_calibrated(about: Checked) -> "Claim":
    """Probabilities mean what they say; numbers are right on average."""
    from phytoscope.steps.claims import claim_calibrated

    return claim_calibrated(about.read_report(), about.config)


def check_covers(about: Checked) -> "Claim":
    """Prediction sets or intervals hold the truth as often as promised."""
    from phytoscope.steps.claims import claim_covers

    return claim_covers(about.read_report(), about.config)


def check_parity(about: Checked) -> "Claim":
    """The package gives its golden answers, and the answers of the evaluation."""
    from phytoscope.steps.package_claims import claim_parity

    return claim_parity(about.run)


def check_loads(about: Checked) -> "Claim":
    """The version in the registry is the packaged model, loads and gives its golden answers."""
    from phytoscope.steps.package_claims import claim_loads

    packaged = read_json(about.run.package / "package.json")["model"]["model_id"]
    return claim_loads(about.place.reference, about.place.uri, packaged)


def check_no_drift(about: Checked) -> "Claim":
    """New images are like those that the model was measured on."""
    from phytoscope.schema.drift import DriftReport
    from phytoscope.steps.claims import Claim, claim_no_drift

    if not about.place.report:
        return Claim(True, about.place.sentence, {"waiting": True})
    return claim_no_drift(DriftReport.from_dict(read_json(Path(about.place.report))))


@dataclass(frozen=True)
class CheckPlan:
    """One check of one asset.

    Attributes:
        asset: Name of the asset.
        claim: What is claimed.
        measure: Finds out whether it holds.
        blocking: Whether assets after it have to wait for it, and are not made when it fails.
        severity: How grave a failure is.
    """

    asset: str
    claim: str
    measure: Callable[[Checked], "Claim"]
    blocking: bool = True
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def name(self) -> str:
        """`<asset>__<claim>`."""
        return f"{self.asset}__{self.claim}"


PLANS = (
    CheckPlan("raw_dataset", "rows_and_labels_present", check_rows_and_labels),
    CheckPlan("preprocessed_data", "no_group_in_two_splits", check_no_group_torn),
    CheckPlan("preprocessed_data", "target_in_range", check_target_in_range),
    CheckPlan("trained_model", "loss_is_finite", check_loss_is_finite),
    CheckPlan("model_evaluation", "beats_baseline", check_beats_baseline),
    CheckPlan("model_evaluation", "calibrated", check_calibrated),
    CheckPlan("model_evaluation", "covers", check_covers),
    CheckPlan("packaged_model", "parity", check_parity),
    CheckPlan("registered_model", "loads", check_loads),
    # New images are not wrong: the model may be, and a person or the sensor decides what follows.
    CheckPlan("drift_report", "no_drift", check_no_drift, blocking=False, severity=dg.AssetCheckSeverity.WARN),
)


def build_check(plan: CheckPlan) -> dg.AssetChecksDefinition:
    """Makes a Dagster check of a plan; its result holds the sentence, the values and their limits."""

    def check(workspace: WorkspaceResource, place: Place) -> dg.AssetCheckResult:
        try:
            config = compose_settings(workspace.open(), place.partition, place.words)
            claim = plan.measure(Checked(place, config))
        except PhytoscopeError as error:
            return dg.AssetCheckResult(passed=False, severity=plan.severity, description=str(error))
        return dg.AssetCheckResult(
            passed=claim.holds,
            severity=plan.severity,
            description=claim.text,
            metadata=show_values(claim.measured),
        )

    with warnings.catch_warnings():
        # Checks of one partition are new in Dagster. Without them the checks of all data sets would be one.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        decorate = dg.asset_check(
            asset=plan.asset,
            name=plan.name,
            blocking=plan.blocking,
            partitions_def=PARTITIONS,
            description=plan.measure.__doc__,
        )
        return decorate(check)


CHECKS = [build_check(plan) for plan in PLANS]
