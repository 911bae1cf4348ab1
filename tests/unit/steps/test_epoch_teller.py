"""Epochs that other processes write are told once each."""

import pandas as pd

from phytoscope.steps.epoch_teller import EpochTeller


class Listener:
    """A journal that keeps the numbers."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, dict[str, float]]] = []

    def metrics(self, values, *, step=0) -> None:
        self.steps.append((step, dict(values)))


def write(path, epochs) -> None:
    pd.DataFrame({"epoch": range(epochs), "val/loss": [0.5] * epochs, "val/f1": [None] * epochs}).to_csv(
        path, index=False
    )


def test_each_epoch_is_told_once(tmp_path) -> None:
    """None before there is a history, those that were there before not again, and no number that is missing."""
    path, listener, said = tmp_path / "history.csv", Listener(), []
    EpochTeller(path, listener, said.append, epochs=3).look()
    write(path, 1)
    teller = EpochTeller(path, listener, said.append, epochs=3)
    teller.look()
    assert said == []
    write(path, 3)
    teller.look()
    teller.look()
    assert listener.steps == [(1, {"val/loss": 0.5}), (2, {"val/loss": 0.5})]
    assert said == ["train: epoch 2/3 done: val/loss 0.5", "train: epoch 3/3 done: val/loss 0.5"]
