"""What the peers share: the same network in timm, and the pre-processing that torchvision's users write."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from PIL import Image
from torchvision import transforms


class PeerNet:
    """Network, transform and class names, loaded from the folder that `nets.build_net` wrote."""

    def __init__(self, folder: Path) -> None:
        """Loads the weights."""
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        self.class_names: list[str] = facts["class_names"]
        self.model = timm.create_model(facts["backbone"], num_classes=len(self.class_names))
        state = safetensors.torch.load_file(folder / "timm.safetensors")
        backbone = {name.removeprefix("backbone."): part for name, part in state.items() if name.startswith("backbone")}
        # timm names the head of each family otherwise.
        classifier: str = self.model.default_cfg["classifier"]
        head = {f"{classifier}.{kind}": state[f"head.{kind}"] for kind in ("weight", "bias")}
        self.model.load_state_dict(backbone | head)
        self.model.eval()
        size = facts["size_px"]
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size), interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.ToTensor(),
                transforms.Normalize(facts["mean"], facts["std"]),
            ]
        )

    def read(self, data: bytes) -> torch.Tensor:
        """From the bytes of an image file to (3, S, S), float32."""
        tensor: torch.Tensor = self.transform(Image.open(BytesIO(data)).convert("RGB"))
        return tensor

    def answer(self, probs: list[float]) -> dict[str, Any]:
        """The answer for one image."""
        best = max(range(len(probs)), key=probs.__getitem__)
        found = dict(zip(self.class_names, probs, strict=True))
        return {"label": self.class_names[best], "probability": probs[best], "probabilities": found}
