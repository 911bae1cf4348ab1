"""What people run who have a timm network and a folder of photographs: timm's own script, or a plain loop."""

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import timm
import timm.data
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

# As timm's inference.py has them when nothing is asked for.
_TIMM_BATCH, _TIMM_WORKERS = 256, 2
_LOOP_BATCH, _LOOP_WORKERS = 32, 2


def load_network(folder: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The network that `nets.build_net` wrote, in timm's own class, with what is known of it."""
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    package = json.loads((folder / "package" / "package.json").read_text(encoding="utf-8"))
    facts["interpolation"] = package["model"]["preprocess"]["interpolation"]
    model = timm.create_model(facts["backbone"], num_classes=len(facts["class_names"]))
    state = safetensors.torch.load_file(folder / "timm.safetensors")
    backbone = {name.removeprefix("backbone."): part for name, part in state.items() if name.startswith("backbone")}
    classifier = str(model.default_cfg["classifier"])
    head = {f"{classifier}.{kind}": state[f"head.{kind}"] for kind in ("weight", "bias")}
    model.load_state_dict(backbone | head)
    return model.eval(), facts


def run_timm(folder: Path, photos: Path, output: Path) -> float:
    """What `inference.py` of timm does on a processor: its loader with its defaults, probabilities, a table by pandas.

    Squares are made as the network was trained: squashed, with the same filter.
    """
    model, facts = load_network(folder)
    began = time.perf_counter()
    dataset = timm.data.create_dataset(name="", root=str(photos))
    loader = timm.data.create_loader(
        dataset,
        input_size=(3, facts["size_px"], facts["size_px"]),
        batch_size=_TIMM_BATCH,
        use_prefetcher=True,
        num_workers=_TIMM_WORKERS,
        device=torch.device("cpu"),
        interpolation=facts["interpolation"],
        mean=facts["mean"],
        std=facts["std"],
        crop_pct=1.0,
        crop_mode="squash",
    )
    found, places = [], []
    with torch.inference_mode():
        for images, _ in loader:
            probs, best = model(images).softmax(-1).topk(1)
            found.append(probs.float().cpu().numpy())
            places.append(best.cpu().numpy())
    names = dataset.filenames(basename=False)
    labels = np.array(facts["class_names"])[np.concatenate(places).squeeze(-1)]
    table = pd.DataFrame({"path": names, "prediction": labels, "probability": np.concatenate(found).squeeze(-1)})
    table.to_csv(output, index=False)
    return time.perf_counter() - began


class _Photos(Dataset[tuple[torch.Tensor, str]]):
    def __init__(self, paths: list[Path], facts: dict[str, Any]) -> None:
        self._paths = paths
        size = (facts["size_px"], facts["size_px"])
        self._transform = transforms.Compose(
            [
                transforms.Resize(size, interpolation=transforms.InterpolationMode(facts["interpolation"])),
                transforms.ToTensor(),
                transforms.Normalize(facts["mean"], facts["std"]),
            ]
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, str]:
        path = self._paths[place]
        return self._transform(Image.open(path).convert("RGB")), str(path)


def run_loop(folder: Path, photos: Path, output: Path) -> float:
    """A DataLoader with two workers, the network in torch, a row for each image."""
    model, facts = load_network(folder)
    began = time.perf_counter()
    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    loader = DataLoader(_Photos(paths, facts), batch_size=_LOOP_BATCH, num_workers=_LOOP_WORKERS)
    with output.open("w", encoding="utf-8", newline="") as stream, torch.inference_mode():
        writer = csv.writer(stream)
        writer.writerow(["path", "prediction", "probability"])
        for images, names in loader:
            probs, best = model(images).softmax(-1).max(-1)
            rows = zip(names, best.tolist(), probs.tolist(), strict=True)
            writer.writerows([name, facts["class_names"][place], prob] for name, place, prob in rows)
    return time.perf_counter() - began


PEERS = {"timm": run_timm, "loop": run_loop}


if __name__ == "__main__":
    name, *places = sys.argv[1:]
    print(json.dumps({"seconds": PEERS[name](*map(Path, places))}))
