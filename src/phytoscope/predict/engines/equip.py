"""Gives a loaded model the engine that was asked for, and lets it prove itself on the golden images."""

from collections.abc import Callable
from typing import Final

from phytoscope.errors import PackageError
from phytoscope.predict.engines.choose import choose_engine
from phytoscope.predict.package_files import GOLDEN_NAME, PackageFiles
from phytoscope.predict.package_golden import GOLDEN_TOLERANCE, replay_golden
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.trust_files import TRUST_NAME, parse_trust
from phytoscope.schema.choices import Precision, Runtime

INT8_FOLDER: Final = "int8"
INT8_TOLERANCE: Final = 2e-2
"""Rounding to 8 bits falls one way or the other where two processors add in another order."""


def equip_predictor(
    predictor: Predictor,
    files: PackageFiles,
    runtime: Runtime,
    precision: Precision = Precision.float32,
    *,
    cores: int | None = None,
    say: Callable[[str], None] | None = None,
) -> float:
    """Lets the engine that was asked for compute a model; in 8 bits it is judged by thresholds of its own.

    Args:
        predictor: The model of the package; its engine is replaced.
        files: The package.
        runtime: What shall compute.
        precision: With which numbers.
        cores: See `choose_engine`.
        say: See `choose_engine`.

    Returns:
        The largest difference to the golden answers, see `replay_golden`.

    Raises:
        MissingDependencyError: The runtime that was asked for is not installed.
        ConfigError: It cannot run the network, or not with such numbers.
        PackageError: A part of the package is damaged, or the engine does not reproduce the golden answers.
        ArtifactError: The thresholds for 8 bits are damaged.
    """
    engine = choose_engine(predictor, files, runtime, precision, cores=cores, say=say)
    prefix, tolerance = "", GOLDEN_TOLERANCE
    if engine.precision is Precision.int8:
        prefix, tolerance = f"{INT8_FOLDER}/", INT8_TOLERANCE
        if prefix + TRUST_NAME in files.names:
            predictor.use(engine, *parse_trust(lambda name: files.read(prefix + name), str(files.path)))
    predictor.use(engine)
    difference = replay_golden(predictor, files, prefix + GOLDEN_NAME)
    # Worded so that a difference that is not a number is refused too.
    if not difference <= tolerance:
        message = (
            f"{engine.runtime.value} ({engine.precision.value}) does not reproduce the golden answers of "
            f"{str(files.path)!r} (difference {difference:.2g}, allowed {tolerance:g}): use runtime=torch, and check "
            "the versions of the libraries."
        )
        raise PackageError(message)
    return difference
