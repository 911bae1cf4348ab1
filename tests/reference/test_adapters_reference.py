"""Low-rank updates against the peft library: the same matrices give the same answers and the same counts."""

import pytest
import timm
import torch
from torch import nn

from factories.adapters import adapt, build, draw_images
from phytoscope.models.adapters import merge_adapters
from phytoscope.models.adapters.low_rank import add_low_rank

peft = pytest.importorskip("peft", reason="the reference library peft is not installed (pip install peft)")
RANK, ALPHA = 4, 6.0
LAYERS = {
    "linear": lambda: nn.Linear(12, 20),
    "pointwise": lambda: nn.Conv2d(12, 20, 1),
    "3 x 3": lambda: nn.Conv2d(12, 20, 3, stride=2, padding=1),
}


def wrap(model: nn.Module, targets: list[str]) -> nn.Module:
    """The model with peft's low-rank updates on the layers named."""
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets, bias="none")
    return peft.get_peft_model(model, config)


def copy_matrices(theirs: nn.Module, ours: nn.Module) -> None:
    """Draws an `up` matrix for one layer of ours, and gives peft's layer both matrices."""
    update = ours.parametrizations.weight[0]
    nn.init.normal_(update.up, std=0.2)
    with torch.no_grad():
        for name, matrix in (("lora_A", update.down), ("lora_B", update.up)):
            target = getattr(theirs, name)["default"].weight
            target.copy_(matrix.view(target.shape))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_what_peft_s_does(name) -> None:
    """Same weights, same low-rank matrices, same input: the same output, before and after folding."""
    torch.manual_seed(0)
    ours = nn.ModuleDict({"layer": LAYERS[name]()})
    theirs = nn.Sequential()
    theirs.add_module("layer", LAYERS[name]())
    theirs.load_state_dict(ours.state_dict())
    wrapped = wrap(theirs, ["layer"])
    add_low_rank(ours, ["layer"], rank=RANK, alpha=ALPHA, dropout=0.0)
    copy_matrices(wrapped.base_model.model.layer, ours["layer"])
    images = torch.randn((5, 12) if name == "linear" else (5, 12, 9, 9))
    plain = wrapped.base_model.model.layer.base_layer(images)
    expected = wrapped(images)
    assert not torch.allclose(expected, plain, atol=0.01)
    torch.testing.assert_close(ours["layer"](images), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wrapped.merge_and_unload()(images), ours["layer"](images), rtol=1e-5, atol=1e-5)


def test_a_whole_network_computes_what_peft_s_does() -> None:
    """ResNet18: as many trained parameters, the same features, the same gradients, and the same folded weights."""
    network = build("resnet18")
    reference = timm.create_model("resnet18", pretrained=False, num_classes=0)
    reference.load_state_dict(network.backbone.state_dict())
    names = [name for name, module in reference.named_modules() if isinstance(module, nn.Conv2d)]
    wrapped = wrap(reference, names).eval()
    adaptation = adapt(network, "lora", rank=RANK, alpha=ALPHA)
    trained = {name: value for name, value in network.backbone.named_parameters() if name in adaptation.trained}
    theirs = {name: value for name, value in wrapped.named_parameters() if value.requires_grad}
    assert sum(value.numel() for value in trained.values()) == sum(value.numel() for value in theirs.values())
    inner = wrapped.base_model.model
    for name in names:
        copy_matrices(inner.get_submodule(name), network.backbone.get_submodule(name))
    # In single precision the gradients of 18 layers differ by per cents where a rounding error moves a rectifier.
    network.double()
    wrapped.double()
    pixels = network.normalise(draw_images())
    found, expected = network.backbone(pixels), wrapped(pixels)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    found.square().sum().backward()
    expected.square().sum().backward()
    for name in names:
        ours = network.backbone.get_parameter(f"{name}.parametrizations.weight.0.down").grad
        reference_gradient = inner.get_submodule(name).lora_A["default"].weight.grad.flatten(1)
        torch.testing.assert_close(ours, reference_gradient, rtol=1e-7, atol=1e-9 * float(ours.abs().max()))
    merge_adapters(network)
    folded = wrapped.merge_and_unload().state_dict()
    for name, value in network.backbone.state_dict().items():
        torch.testing.assert_close(value, folded[name], rtol=1e-9, atol=1e-12)


def test_peft_cannot_fold_what_we_can() -> None:
    """The reason for adapters of our own: peft refuses convolutions with groups, ours folds them."""
    layer = nn.Sequential()
    layer.add_module("layer", nn.Conv2d(12, 24, 3, groups=4))
    with pytest.warns(UserWarning, match="Merging is not supported"):
        wrapped = wrap(layer, ["layer"])
    with pytest.raises(NotImplementedError):
        wrapped.merge_and_unload()
    network = build("test_convnext")
    adapt(network, "lora", targets="conv_dw")
    merge_adapters(network)
    assert list(network.state_dict()) == list(build("test_convnext").state_dict())
