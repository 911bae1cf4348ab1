"""The adapter file that a run leaves, and the one that it starts from."""

import pytest
import torch

from factories.runs import draw_mixed_folder, run_tiny, run_words
from phytoscope.errors import ConfigError, WeightsError
from phytoscope.models.adapters import attach_adapter, read_adapter
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.models.weights import read_state_dict
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.train_config import ModelConfig

PLAIN = ("trainer.mode=plain", "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    """Two classes of small photographs, and pre-trained weights for the tiny backbone."""
    place = tmp_path_factory.mktemp("data")
    torch.manual_seed(0)
    torch.save(fresh_network(2).backbone.state_dict(), place / "weights.pt")
    return [*draw_mixed_folder(place / "images"), f"model.weights={place / 'weights.pt'}"]


def fresh_network(outputs: int) -> PlantNetwork:
    """The backbone of the tiny runs with random weights."""
    config = ModelConfig(backbone="test_efficientnet", input_size_px=64)
    return PlantNetwork(config.backbone, outputs, 0.0, read_backbone_input(config))


def train(data, place, *more) -> RunFolder:
    """Prepares and trains one tiny run."""
    # The words of the tiny runs come after those of the data, and ask for random weights.
    words = [*run_words(data, place, *PLAIN, *more), next(word for word in data if word.startswith("model.weights"))]
    run_tiny(words, "prepare")
    return run_tiny(words, "train")[0]


@pytest.mark.parametrize("kind", ["lora", "norm"])
def test_a_run_leaves_an_adapter_that_gives_its_network(data, kind, tmp_path) -> None:
    """Pre-trained weights plus the adapter file are the trained network that the later steps read."""
    run = train(data, tmp_path / "run", f"adapt={kind}")
    network = fresh_network(2)
    weights = next(word for word in data if word.startswith("model.weights")).partition("=")[2]
    network.backbone.load_state_dict(torch.load(weights, weights_only=True))
    attach_adapter(network, run.adapter, backbone="test_efficientnet")
    whole = fresh_network(2)
    whole.load_state_dict(read_state_dict(run.weights))
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(images), whole.eval()(images), rtol=1e-5, atol=1e-5)
    assert run.adapter.stat().st_size < run.weights.stat().st_size
    assert read_adapter(run.adapter).answers == ("bright", "dark")


def test_training_everything_leaves_no_adapter(data, tmp_path) -> None:
    """A file of the whole backbone would be the weights once more."""
    run = train(data, tmp_path / "run", "adapt=full")
    assert run.weights.is_file()
    assert not run.adapter.exists()


def test_a_run_starts_from_an_adapter(data, tmp_path) -> None:
    """With a learning rate of next to nothing the second run ends where the first one ended, and not at the start."""
    first = train(data, tmp_path / "first", "adapt=norm", "trainer.learning_rate=0.01")
    slow = ("adapt=norm", "trainer.learning_rate=1e-12")
    second = train(data, tmp_path / "second", *slow, f"adapt.start_from={first.adapter}")
    third = train(data, tmp_path / "third", *slow)
    began, ended, untouched = (read_adapter(run.adapter).tensors for run in (first, second, third))
    assert began.keys() == ended.keys()
    for name, value in began.items():
        torch.testing.assert_close(ended[name], value, rtol=0, atol=1e-6)
    assert any(not torch.allclose(untouched[name], value, rtol=0, atol=1e-4) for name, value in began.items())


def test_another_file_to_start_from_is_another_training(data, tmp_path) -> None:
    """The content of the file is among what a training is known by: a changed file trains again."""
    start = tmp_path / "start.safetensors"
    first = train(data, tmp_path / "first", "adapt=norm")
    start.write_bytes(first.adapter.read_bytes())
    second = train(data, tmp_path / "second", "adapt=norm", f"adapt.start_from={start}")
    before = second.read_inputs("train")
    start.write_bytes(second.adapter.read_bytes())
    train(data, tmp_path / "second", "adapt=norm", f"adapt.start_from={start}")
    assert second.read_inputs("train") != before


def test_a_start_that_does_not_fit_is_refused(data, tmp_path) -> None:
    """A missing file and a file of other settings are errors before anything is trained."""
    with pytest.raises(ConfigError, match=r"adapt.start_from: there is no file .*nowhere"):
        train(data, tmp_path / "run", "adapt=norm", f"adapt.start_from={tmp_path / 'nowhere.safetensors'}")
    first = train(data, tmp_path / "first", "adapt=norm")
    with pytest.raises(WeightsError, match=r"adapt\.kind=ssf instead of norm"):
        train(data, tmp_path / "other", "adapt=ssf", f"adapt.start_from={first.adapter}")
