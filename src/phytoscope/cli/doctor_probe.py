"""Tries out libraries in a process of its own, so that one that crashes or hangs becomes a sentence of `doctor`.

It is run as a file and imports nothing of phytoscope: `python -P doctor_probe.py network vision` prints a JSON object
for each.
"""

import io
import json
import sys
import time
from typing import Any


def try_network() -> dict[str, Any]:
    """Computes a tiny network, and asks torch what it can compute on."""
    import torch

    found: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2),
        torch.nn.BatchNorm2d(8),
        torch.nn.Hardswish(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    ).eval()
    pictures = torch.arange(2 * 3 * 64 * 64, dtype=torch.float32).reshape(2, 3, 64, 64) % 255 / 255
    began = time.perf_counter()
    with torch.inference_mode():
        answers = net(pictures)
    found["seconds"] = time.perf_counter() - began
    found["is_finite"] = bool(torch.isfinite(answers).all()) and tuple(answers.shape) == (2, 2)
    found["cuda_built"] = torch.version.cuda
    found["gpus"] = _list_gpus(torch)
    found["mps"] = bool(torch.backends.mps.is_available())
    return found


def _list_gpus(torch: Any) -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    gpus = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        gpus.append({"name": properties.name, "gib": round(properties.total_memory / 2**30, 1)})
    # That a GPU is listed does not mean that it computes: its driver may be too old for this torch.
    torch.ones(8, device="cuda").sum().item()
    return gpus


def try_vision() -> dict[str, Any]:
    """Loads torchvision's own compiled part, which fits one release of torch only."""
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
    return {"torchvision": torchvision.__version__, "is_right": kept.tolist() == [0]}


def try_pictures() -> dict[str, Any]:
    """Writes a JPEG of one colour and reads it back with both readers."""
    import cv2
    import numpy as np
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (32, 24), (40, 160, 60)).save(stream, format="JPEG", quality=95)
    by_pillow = np.asarray(Image.open(io.BytesIO(stream.getvalue())).convert("RGB"))
    by_opencv = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    pictures = [by_pillow] if by_opencv is None else [by_pillow, by_opencv[..., ::-1]]
    near = [
        picture.shape == (24, 32, 3) and np.abs(picture.astype(int) - (40, 160, 60)).max() <= 6 for picture in pictures
    ]
    return {"is_right": len(near) == 2 and bool(all(near))}


def try_tables() -> dict[str, Any]:
    """Takes a table through CSV and Parquet."""
    import pandas as pd

    stream = io.BytesIO()
    table = pd.read_csv(io.StringIO("plant,weight\na,1.5\nb,0\n"))
    table.to_parquet(stream)
    return {"is_right": bool(pd.read_parquet(stream).equals(table))}


TRIALS = {"network": try_network, "vision": try_vision, "pictures": try_pictures, "tables": try_tables}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        # Libraries may print as they are loaded, and may take the process with them: what is known is told at once.
        print("\n" + json.dumps({"trial": name, **TRIALS[name]()}), flush=True)
