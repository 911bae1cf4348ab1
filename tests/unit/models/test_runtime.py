"""Each runtime gives torch's numbers, and one that does not is not used."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from phytoscope.errors import ConfigError, MissingDependencyError
from phytoscope.models import runtime
from phytoscope.models.network import build_network
from phytoscope.models.runtime import PooledFeatures, build_extractor
from phytoscope.schema.choices import Runtime
from phytoscope.schema.train_config import ModelConfig

SIDE = 32


@pytest.fixture
def features():
    torch.manual_seed(0)
    network, _ = build_network(ModelConfig(backbone="test_efficientnet", weights="random", input_size_px=SIDE), 2)
    return PooledFeatures(network).eval()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (21, SIDE, SIDE, 3), dtype=np.uint8)


def expect(module, pixels):
    with torch.inference_mode():
        return module(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()


class Shifted(nn.Module):
    """Gives something else each time it is called, which no translation can follow."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return images.float().mean(dim=(2, 3)) + self.calls


@pytest.mark.parametrize("wanted", [Runtime.torch, Runtime.openvino, Runtime.onnxruntime])
def test_every_runtime_gives_the_numbers_of_torch(features, pixels, wanted):
    """Within a thousandth, for any number of images, in order, also where batches run side by side."""
    for module in {Runtime.openvino: "openvino", Runtime.onnxruntime: "onnxruntime"}.get(wanted, "torch").split():
        pytest.importorskip(module)
    extractor = build_extractor(features, SIDE, wanted)
    assert extractor.runtime is wanted
    expected = expect(features, pixels)
    for count in (1, 2, 21):
        assert np.abs(extractor(pixels[:count]) - expected[:count]).max() <= 1e-3 * np.abs(expected).max()
    streamed = list(extractor.stream(pixels[first : first + 1] for first in range(21)))
    assert np.abs(np.concatenate(streamed) - expected).max() <= 1e-3 * np.abs(expected).max()


def test_few_images_are_not_worth_a_translation(features):
    """Torch is done before another runtime has begun."""
    assert build_extractor(features, SIDE, Runtime.auto, images=100).runtime is Runtime.torch


def test_auto_passes_over_what_is_not_installed(features, monkeypatch):
    """Without a word, as nobody asked for it."""
    said = []
    for module in ("openvino", "onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    assert build_extractor(features, SIDE, Runtime.auto, say=said.append).runtime is Runtime.torch
    assert said == []


def test_a_runtime_that_is_not_installed_is_named(features, monkeypatch):
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"phytoscope\[fast\]"):
        build_extractor(features, SIDE, Runtime.openvino)


def test_other_numbers_are_refused(features, monkeypatch):
    """A tolerance that nothing meets: asked for it is an error, and auto says why it goes on without."""
    pytest.importorskip("openvino")
    monkeypatch.setattr(runtime, "TOLERANCE", -1.0)
    with pytest.raises(ConfigError, match="differ from torch"):
        build_extractor(features, SIDE, Runtime.openvino)
    said = []
    assert build_extractor(features, SIDE, Runtime.auto, images=1000, say=said.append).runtime is Runtime.torch
    assert len(said) == 1
    assert "openvino cannot run this network (its numbers differ" in said[0]


def test_a_network_that_cannot_be_translated_is_run_by_torch():
    """What depends on how often it was called is no function of pixels."""
    pytest.importorskip("openvino")
    said = []
    module = Shifted()
    extractor = build_extractor(module, SIDE, Runtime.auto, images=1000, say=said.append)
    assert extractor.runtime is Runtime.torch
    assert "openvino cannot run this network" in said[0]


def test_the_network_stays_as_it_is(features, pixels):
    """Neither its memory format nor its place nor its numbers change."""
    before = {name: (value.clone(), value.stride()) for name, value in features.state_dict().items()}
    build_extractor(features, SIDE, Runtime.torch)(pixels)
    for name, value in features.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.stride() == before[name][1]
