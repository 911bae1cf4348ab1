"""From a trained network to the one folder that answers anywhere."""

from collections.abc import Sequence
from pathlib import Path

from phytoscope.sdk.training import TrainedRun, compose_of_run, take_steps


def package(run: TrainedRun | str | Path, *, settings: Sequence[str] = (), progress: bool = False) -> Path:
    """Packs the evaluated network with all that its answers depend on, and lets the package prove itself.

    Args:
        run: What `train` gave, after `evaluate`; or the folder of a run.
        settings: Further words as the command line takes them, such as `package.onnx=never`.
        progress: Whether to show how far it is.

    Returns:
        Folder of the package, which `Predictor.load` and `phytoscope serve` open.

    Raises:
        ConfigError: A setting is wrong, or there is no run in the folder.
        ArtifactError: The network is not trained or not evaluated with these settings.
        PackageError: The package does not reproduce its golden answers.

    Examples:
        >>> predictor = ph.Predictor.load(ph.package(run))
        >>> answer = predictor.predict(data.table["path"].iloc[0])
        >>> answer.label in data.classes, 0.0 <= answer.probability <= 1.0
        (True, True)
    """
    return take_steps(compose_of_run(run, settings), ("package",), progress=progress).package
