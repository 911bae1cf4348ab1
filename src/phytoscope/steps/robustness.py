"""How the answers fare when test pictures are spoiled: the same model on the same plants under worse conditions."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.robustness import CLEAN, RobustnessReport, RobustnessRow
from phytoscope.schema.table import (
    GROUP_ID,
    HEIGHT_PX,
    LABEL,
    SAMPLE_ID,
    SHA256,
    SPLIT,
    TARGET,
    WIDTH_PX,
    Split,
    Task,
)
from phytoscope.schema.verdict import Verdict
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import PreparedData
from phytoscope.steps.training_job import read_columns
from phytoscope.transforms.corrupt import CHANGES_SIZE, CORRUPTION_WORDS, SEVERITIES, Corruption, can_corrupt, corrupt

Floats = NDArray[np.float64]
TABLE_NAME: Final = "robustness.csv"
_STRATA = 5


def measure_robustness(
    context: RunContext,
    prepared: PreparedData,
    predictor: Predictor,
    cache: PixelCache,
    predictions: pd.DataFrame,
) -> RobustnessReport | None:
    """Spoils some test pictures in every way and at every severity, and answers for them again.

    Args:
        context: `evaluate.robustness`, `evaluate.batch_size` and `seed` are read.
        prepared: The data.
        predictor: The model; where it has no `trust`, there are no verdicts.
        cache: Squares of the test pictures.
        predictions: Table 7, for what is true of them.

    Returns:
        None when `evaluate.robustness` is 0 or there is no test picture. Otherwise the rows are written to
        `robustness.csv` among the figures, too.

    Raises:
        StorageError: The folder of figures cannot be written.
    """
    wanted = context.config.evaluate.robustness
    test = predictions[predictions[SPLIT] == Split.test.value]
    if wanted == 0 or test.empty:
        return None
    task = predictor.description.task
    answer = LABEL if task is Task.classification else TARGET
    drawn = draw_rows(test, answer, wanted, seed=context.config.seed)
    rows = prepared.rows.set_index(SAMPLE_ID).loc[drawn[SAMPLE_ID]].reset_index()
    encoder = predictor.meaning.covariates
    bench = _Bench(
        predictor=predictor,
        pixels=np.asarray(cache.pixels[cache.rows(rows[SHA256])]),
        covariates=None if encoder is None else encoder.encode(read_columns(rows)),
        sizes=rows[[WIDTH_PX, HEIGHT_PX]].to_numpy(dtype=np.int64),
        truth=_read_truth(drawn, answer, predictor),
        is_class=task is Task.classification,
        batch_size=context.config.evaluate.batch_size,
        seed=context.config.seed,
    )
    kinds = [kind for kind in Corruption if bench.is_class or kind not in CHANGES_SIZE]
    left_out = {
        kind.value: "it changes the size of the plant, which may be the answer"
        for kind in Corruption
        if kind not in kinds
    }
    context.progress.start("Spoiling pictures", len(kinds) * len(SEVERITIES) * len(rows))
    measured = _measure(bench, kinds, left_out, context)
    context.progress.finish()
    unit = "" if bench.is_class else prepared.unit
    with write_atomic(context.run.figures / TABLE_NAME) as temporary:
        pd.DataFrame([dataclasses.asdict(row) for row in measured]).to_csv(temporary, index=False)
    return RobustnessReport(task, unit, len(drawn), int(drawn[GROUP_ID].nunique()), measured, left_out)


def draw_rows(table: pd.DataFrame, answer: str, count: int, *, seed: int) -> pd.DataFrame:
    """Draws rows so that each class (or fifth of the number) and, within it, each group comes to its turn.

    Args:
        table: Rows with the column `answer` and `group_id`.
        answer: Name of the column with the truth.
        count: Rows to draw; all when there are fewer.
        seed: Seed of the draw.

    Returns:
        The drawn rows in the order of the table.
    """
    if count >= len(table):
        return table
    shuffled = table.sample(frac=1, random_state=seed)
    if answer == LABEL:
        strata = shuffled[LABEL].rename("stratum")
    else:
        strata = (shuffled[answer].rank(method="first") * _STRATA // (len(table) + 1)).rename("stratum")
    # A second image of a plant comes only after every plant of the class had its first.
    turn = shuffled.groupby([strata, GROUP_ID], sort=False).cumcount().sort_values(kind="stable")
    place = strata.loc[turn.index].groupby(strata.loc[turn.index], sort=False).cumcount()
    return table.loc[place.sort_values(kind="stable").index[:count]].sort_index()


@dataclass(frozen=True)
class _Bench:
    """The drawn pictures, their truth and who answers.

    Attributes:
        predictor: The model.
        pixels: Shape (N, S, S, 3), uint8.
        covariates: Shape (N, covariate_dim), float32; None when nothing is known beside the pictures.
        sizes: Width and height of the original pictures in pixels, shape (N, 2), int64.
        truth: Class indices or numbers, shape (N,).
        is_class: Whether classes are predicted.
        batch_size: Squares a step.
        seed: Seed of what is done to the pictures.
    """

    predictor: Predictor
    pixels: NDArray[np.uint8]
    covariates: NDArray[np.float32] | None
    sizes: NDArray[np.int64]
    truth: Floats
    is_class: bool
    batch_size: int
    seed: int

    def spoil(self, kind: Corruption, severity: int, which: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some pictures after something was done to them, shape (n, S, S, 3)."""
        return np.stack([corrupt(self.pixels[row], kind, severity, self.seed + int(row)) for row in which])

    def answer(self, squares: NDArray[np.uint8], which: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int8] | None]:
        """Predicted class indices or numbers, shape (n,), and verdicts, shape (n,)."""
        said, verdicts = [], []
        for first in range(0, len(squares), self.batch_size):
            batch, rows = squares[first : first + self.batch_size], which[first : first + self.batch_size]
            about = None if self.covariates is None else self.covariates[rows]
            trust = self.predictor.trust
            if trust is None:
                answers = self.predictor.predict_pixels(batch, about)
            else:
                judged = trust.judge(self.predictor.observe(batch, about, self.sizes[rows]))
                answers = judged.answers
                verdicts.append(judged.verdict)
            said.append(answers.argmax(axis=1).astype(np.float64) if self.is_class else answers[:, 0])
        return np.concatenate(said), np.concatenate(verdicts) if verdicts else None

    def score(self, said: Floats, which: NDArray[np.int64]) -> float | None:
        """Accuracy, or R2 where it is defined."""
        truth = self.truth[which]
        if self.is_class:
            return float((said == truth).mean())
        spread = float(((truth - truth.mean()) ** 2).sum())
        return _keep_finite(1 - float(((said - truth) ** 2).sum()) / spread) if spread > 0 else None


def _keep_finite(value: float) -> float | None:
    # A network that breaks on a spoiled picture says numbers that are none.
    return value if math.isfinite(value) else None


def _read_truth(drawn: pd.DataFrame, answer: str, predictor: Predictor) -> Floats:
    if answer == TARGET:
        return drawn[TARGET].to_numpy(dtype=np.float64)
    place = {name: index for index, name in enumerate(predictor.description.class_names)}
    return np.array([place.get(name, -1) for name in drawn[LABEL]], dtype=np.float64)


def _measure(
    bench: _Bench, kinds: list[Corruption], left_out: dict[str, str], context: RunContext
) -> list[RobustnessRow]:
    every = np.arange(len(bench.pixels))
    clean, verdicts = bench.answer(bench.pixels, every)
    measured = [_row(bench, CLEAN, "as they are", 0, clean, verdicts, clean, every)]
    for kind in kinds:
        which = np.array([row for row in every if can_corrupt(bench.pixels[row], kind)], dtype=np.int64)
        if len(which) == 0:
            left_out[kind.value] = "in no picture could the plant be told from its background"
            continue
        for severity in SEVERITIES:
            said, verdicts = bench.answer(bench.spoil(kind, severity, which), which)
            measured.append(_row(bench, kind.value, CORRUPTION_WORDS[kind], severity, said, verdicts, clean, which))
            context.progress.advance(len(which), kind.value)
    return measured


def _row(
    bench: _Bench,
    kind: str,
    words: str,
    severity: int,
    said: Floats,
    verdicts: NDArray[np.int8] | None,
    clean: Floats,
    which: NDArray[np.int64],
) -> RobustnessRow:
    truth = bench.truth[which]
    errors = (said != truth).astype(np.float64) if bench.is_class else np.abs(said - truth)
    row: dict[str, Any] = {
        "kind": kind,
        "words": words,
        "severity": severity,
        "n": len(which),
        "score": bench.score(said, which),
        "clean_score": bench.score(clean[which], which),
        "mae": None if bench.is_class else _keep_finite(float(errors.mean())),
    }
    if verdicts is None:
        return RobustnessRow(**row)
    names = list(Verdict)
    shares: dict[str, Any] = {name.value: float((verdicts == names.index(name)).mean()) for name in names}
    accepted = verdicts == names.index(Verdict.accept)
    error = float(errors[accepted].mean()) if accepted.any() else None
    return RobustnessRow(**row, **shares, accepted=int(accepted.sum()), error_accepted=error)
