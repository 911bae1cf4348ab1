"""What must hold of a package before anybody gets it: it answers as the trained model did, also after a download."""

from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope.errors import ArtifactError
from phytoscope.predict.package import GOLDEN_TOLERANCE, load_package, verify_package
from phytoscope.predict.prediction_table import tabulate_observed
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import MODEL_ID, PATH, PREDICTION, PREDICTION_PREFIX, PROB_PREFIX, SPLIT, Split
from phytoscope.steps.claims import Claim, Values
from phytoscope.steps.model_source import resolve_package
from phytoscope.steps.package import list_known

COMPARED = 16
"""Images that the package answers once more."""


def claim_parity(run: RunFolder) -> Claim:
    """The package reproduces its golden answers, and for test images the answers of the evaluation.

    Raises:
        ArtifactError: The answers of the evaluation are missing or damaged.
        ImageReadError: An image can no longer be read.
        PackageError: The package cannot be loaded, or does not reproduce its golden answers.
    """
    golden = verify_package(run.package)
    try:
        answers = pd.read_parquet(run.predictions)
    except (OSError, ValueError) as error:
        message = f"{str(run.predictions)!r} cannot be read ({error}): evaluate the run again."
        raise ArtifactError(message) from error
    predictor = load_package(run.package)
    tested = answers[answers[SPLIT] == Split.test.value]
    rows = tested if len(tested) else answers
    rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(COMPARED, len(rows))).astype(int))]
    difference = _compare(predictor, rows)
    same = bool((rows[MODEL_ID] == predictor.description.model_id).all())
    values: Values = {
        "golden_difference": golden,
        "difference_to_evaluation": difference,
        "limit": GOLDEN_TOLERANCE,
        "images": len(rows),
        "model_id": predictor.description.model_id,
        "same_model": same,
    }
    if not same:
        return Claim(False, "the package holds another model than the one that was evaluated", values)
    text = f"{len(rows)} images answered again: largest difference {difference:.2g}, golden answers {golden:.2g}"
    # Worded so that a difference that is no number fails.
    return Claim(difference <= GOLDEN_TOLERANCE, text, values)


def _compare(predictor: Predictor, rows: pd.DataFrame) -> float:
    """Largest difference to the answers in the table, as a share of the largest answer where that is above 1."""
    photos = [predictor.prepare_photo(Path(path)) for path in rows[PATH]]
    sizes = np.array([(photo.width_px, photo.height_px) for photo in photos], dtype=np.int64)
    encoded = [predictor.encode(known)[0] for known in list_known(predictor, rows)]
    beside = None if encoded[0] is None else np.concatenate([entry for entry in encoded if entry is not None])
    found = tabulate_observed(
        predictor, [predictor.observe(np.stack([photo.square for photo in photos]), beside, sizes)]
    )
    columns = [str(name) for name in found if str(name).startswith((PROB_PREFIX, PREDICTION_PREFIX))]
    # The predicted class itself is a text, and follows from the probabilities.
    columns = columns if any(name.startswith(PROB_PREFIX) for name in columns) else [PREDICTION, *columns]
    kept = rows[columns].to_numpy(dtype=np.float64)
    return float(np.abs(found[columns].to_numpy(dtype=np.float64) - kept).max() / max(1.0, float(np.abs(kept).max())))


def claim_loads(reference: str, uri: str, model_id: str, cache: Path | None = None) -> Claim:
    """A registered model can be had from the registry, is the one that was registered, and proves itself.

    Args:
        reference: `models:/NAME/VERSION`.
        uri: Address of the registry.
        model_id: Hash of the weights that it must have.
        cache: Folder for downloads; see `resolve_package`.

    Raises:
        PhytoscopeError: The registry does not answer, or what it holds is damaged.
    """
    folder = resolve_package(reference, uri, cache)
    golden = verify_package(folder)
    found = load_package(folder).description.model_id
    values: Values = {
        "reference": reference,
        "model_id": found,
        "wanted_model_id": model_id,
        "golden_difference": golden,
    }
    if found != model_id:
        return Claim(False, f"{reference} is the model {found}, not {model_id}", values)
    return Claim(True, f"{reference} loads and reproduces its golden answers (difference {golden:.2g})", values)
