"""The service of the usual tutorial: FastAPI, an uploaded file, PIL, torchvision's transforms, torch.

Usage: python fastapi_peer.py FOLDER PORT WORKERS. With more workers than one each computes with its share of the cores.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from peer_net import PeerNet


def build() -> FastAPI:
    """Builds the application; uvicorn calls it in each worker."""
    folder, workers = Path(os.environ["PEER_FOLDER"]), int(os.environ["PEER_WORKERS"])
    if workers > 1:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // workers))
    net = PeerNet(folder)
    app = FastAPI()

    @app.get("/health")
    def answer_health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, Any]:
        batch = net.read(file.file.read()).unsqueeze(0)
        with torch.inference_mode():
            probs = net.model(batch).softmax(dim=1)[0]
        return net.answer(probs.tolist())

    return app


if __name__ == "__main__":
    os.environ["PEER_FOLDER"], port, os.environ["PEER_WORKERS"] = sys.argv[1:]
    workers = int(os.environ["PEER_WORKERS"])
    uvicorn.run("fastapi_peer:build", factory=True, port=int(port), workers=workers, access_log=False)
