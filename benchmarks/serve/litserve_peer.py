"""LitServe with batching: each worker collects what waits, decodes it and runs the network once.

Usage: python litserve_peer.py FOLDER PORT WORKERS. With several workers each computes with its share of the cores.
"""

import os
import sys
from pathlib import Path
from typing import Any

import litserve
import torch
from fastapi import Request
from peer_net import PeerNet

_LARGEST_BATCH, _WAIT_S = 16, 0.005


class LeafAPI(litserve.LitAPI):  # type: ignore[misc]
    """Reads an uploaded file, answers with probabilities."""

    def setup(self, device: str) -> None:
        """Loads the network in the process that computes."""
        workers = int(os.environ["PEER_WORKERS"])
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // workers))
        self.net = PeerNet(Path(os.environ["PEER_FOLDER"]))

    def decode_request(self, request: Request) -> torch.Tensor:
        """From the upload to a tensor."""
        return self.net.read(request["file"].file.read())

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Puts what waits together."""
        return torch.stack(inputs)

    def predict(self, batch: torch.Tensor) -> list[list[float]]:
        """Runs the network."""
        with torch.inference_mode():
            found: list[list[float]] = self.net.model(batch).softmax(dim=1).tolist()
        return found

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """One row an image."""
        return output

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        """The answer for one image."""
        return self.net.answer(output)


if __name__ == "__main__":
    os.environ["PEER_FOLDER"], port, os.environ["PEER_WORKERS"] = sys.argv[1:]
    api = LeafAPI(max_batch_size=_LARGEST_BATCH, batch_timeout=_WAIT_S)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=int(os.environ["PEER_WORKERS"]), timeout=60, fast_queue=True
    )
    server.run(port=int(port), generate_client_file=False, log_level="warning", access_log=False)
