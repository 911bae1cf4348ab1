"""The network as OpenVINO stores it: one XML file for the graph, one file beside it for the weights."""

from pathlib import Path
from typing import Any

from phytoscope.errors import require


def write_openvino(model: Any, path: Path) -> list[Path]:
    """Writes a network in the numbers that it has.

    Args:
        model: What `read_openvino` gave, or what became of it.
        path: The XML file.

    Returns:
        The two files.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without this it would halve the weights to 16 bits without a word.
    require("openvino").save_model(model, str(path), compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]
