"""What each kind of adapter trains, and what it leaves as it is."""

import copy

import pytest
import torch
from torch import nn

from factories.adapters import FAMILIES, FITTING, adapt, build, disturb, draw_images, take_steps
from phytoscope.errors import ConfigError
from phytoscope.models.adapters import adapt_network, merge_adapters
from phytoscope.schema.choices import AdaptKind
from phytoscope.schema.train_config import AdaptConfig

EXPECTED = {
    "bitfit": lambda name, _: name.endswith(".bias"),
    "norm": lambda _, owner: "norm" in owner,
    "se": lambda name, _: ".se." in name,
    "full": lambda *_: True,
}


def owner_of(name, network) -> str:
    """The class of the module that a parameter stands in."""
    return type(network.backbone.get_submodule(name.rpartition(".")[0])).__name__.lower()


def state_of(network) -> dict[str, torch.Tensor]:
    """All parameters and buffers, copied."""
    return copy.deepcopy(network.backbone.state_dict())


@pytest.mark.parametrize(("backbone", "kind"), FITTING)
def test_a_new_adapter_changes_no_answer(backbone, kind) -> None:
    """A network that was just adapted gives exactly the answers of the plain one, whatever the kind and the family."""
    network = build(backbone)
    images = draw_images()
    with torch.inference_mode():
        before = network(images)
        adapt(network, kind)
        assert torch.equal(network.eval()(images), before)


@pytest.mark.parametrize(("backbone", "kind"), FITTING)
def test_training_changes_what_is_named_and_nothing_else(backbone, kind) -> None:
    """After some steps every trained parameter has changed, and all other parameters and all statistics have not."""
    network = build(backbone)
    adaptation = adapt(network, kind)
    before = state_of(network)
    take_steps(network, adaptation, steps=3)
    after = network.backbone.state_dict()
    learned = {name for name in after if any(name.startswith(f"{module}.") for module in adaptation.statistics)}
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed <= adaptation.trained | learned
    assert changed >= adaptation.trained
    if kind in (AdaptKind.full, AdaptKind.last_stages) and not backbone.startswith("vit"):
        assert {name for name in changed if name.endswith("running_mean")}
    else:
        assert not {name for name in changed if "running" in name}


@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("kind", ["bitfit", "norm", "se", "full"])
def test_the_kind_says_which_parameters(backbone, kind) -> None:
    """Biases, norms, squeeze-and-excite blocks or all: what is trained is told by an independent look at the names."""
    network = build(backbone)
    names = [name for name, _ in network.backbone.named_parameters()]
    expected = {name for name in names if EXPECTED[kind](name, owner_of(name, network))}
    if not expected:
        with pytest.raises(ConfigError):
            adapt(network, kind)
        return
    assert adapt(network, kind).trained == expected


@pytest.mark.parametrize("backbone", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_without_squeeze_excite_the_error_says_what_fits(backbone) -> None:
    """A backbone without squeeze-and-excite blocks is refused, with the kinds that it can take."""
    with pytest.raises(ConfigError, match=r"squeeze-and-excite .* has none: .*adapt=head, bitfit, norm, lora"):
        adapt(build(backbone), "se")


@pytest.mark.parametrize("kind", ["norm", "lora", "ssf", "bitfit"])
def test_running_statistics_are_learned_when_asked_for(kind) -> None:
    """With running_statistics every batch norm follows the new images; the adapter's kind does not matter."""
    network = build("tf_mobilenetv3_small_100")
    adaptation = adapt(network, kind, running_statistics=True)
    before = state_of(network)
    take_steps(network, adaptation)
    after = network.backbone.state_dict()
    means = [name for name in after if name.endswith("running_mean")]
    assert len(means) == 34
    assert all(not torch.equal(after[name], before[name]) for name in means)


@pytest.mark.parametrize("kind", ["norm", "full", "lora"])
def test_statistics_stand_still_while_the_head_alone_is_trained(kind) -> None:
    """In the frozen epochs no parameter and no running statistic of the backbone changes."""
    network = build("test_efficientnet")
    adaptation = adapt(network, kind, frozen_epochs=2, **({} if kind == "full" else {"running_statistics": True}))
    before = state_of(network)
    assert adaptation.is_head_only(1)
    take_steps(network, adaptation, epoch=1)
    after = network.backbone.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert not adaptation.is_head_only(2)
    take_steps(network, adaptation, epoch=2)
    assert any(not torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())


def test_a_linear_probe_is_head_only_for_ever() -> None:
    """The head alone is trained in every epoch, also when no epoch is called frozen."""
    adaptation = adapt(build("test_resnet"), "head")
    assert all(adaptation.is_head_only(epoch) for epoch in (0, 1, 99))


@pytest.mark.parametrize(
    ("backbone", "stages", "expected"),
    [
        ("tf_mobilenetv3_small_100", 1, ("blocks.5.", "conv_head.", "norm_head.")),
        ("tf_mobilenetv3_small_100", 2, ("blocks.4.", "blocks.5.", "conv_head.", "norm_head.")),
        ("resnet18", 1, ("layer4.",)),
        ("resnet18", 3, ("layer2.", "layer3.", "layer4.")),
        ("tf_efficientnet_lite0", 1, ("blocks.6.", "conv_head.", "bn2.")),
        ("vit_tiny_patch16_224", 2, ("blocks.10.", "blocks.11.", "norm.", "fc_norm.")),
    ],
)
def test_last_stages(backbone, stages, expected) -> None:
    """The last stages are those before the pooling, with the layers that follow them."""
    network = build(backbone)
    names = {name for name, _ in network.backbone.named_parameters()}
    adaptation = adapt(network, "last_stages", stages=stages)
    assert adaptation.trained == {name for name in names if name.startswith(expected)}


@pytest.mark.parametrize("stages", [5, 9])
def test_more_stages_than_there_are(stages) -> None:
    """More stages than the backbone has are refused, with their number."""
    with pytest.raises(ConfigError, match=rf"adapt.stages={stages}: the backbone has a stem and 4 stages"):
        adapt(build("test_resnet"), "last_stages", stages=stages)


def test_targets_choose_layers() -> None:
    """The expression is looked for in the names of the layers, and names a depthwise convolution too."""
    network = build("test_efficientnet")
    adaptation = adapt(network, "lora", targets=r"blocks\.[34]\..*conv_(pw|dw)$")
    owners = {name.partition(".parametrizations.")[0] for name in adaptation.trained}
    assert owners == {f"blocks.{stage}.0.conv_{kind}" for stage in (3, 4) for kind in ("pw", "dw")}
    adaptation = adapt(build("test_efficientnet"), "ssf", targets="^bn1$")
    assert {name.partition(".parametrizations.")[0] for name in adaptation.trained} == {"bn1"}


@pytest.mark.parametrize("backbone", FAMILIES)
def test_default_targets_of_low_rank_updates(backbone) -> None:
    """Without an expression all convolutions and linear layers are updated but the depthwise ones."""
    network = build(backbone)
    modules = dict(network.backbone.named_modules())
    expected = {
        name
        for name, module in modules.items()
        if isinstance(module, nn.Conv2d | nn.Linear) and getattr(module, "groups", 1) == 1
    }
    adaptation = adapt(network, "lora")
    assert {name.partition(".parametrizations.")[0] for name in adaptation.trained} == expected


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        ("lora", {"targets": "qkv"}, "adapt.targets='qkv' fits none of the 17 layers"),
        ("ssf", {"targets": "no_such"}, "adapt.targets='no_such' fits none"),
        ("lora", {"targets": "("}, "is no regular expression"),
        ("norm", {"targets": "bn"}, "read by adapt=lora and adapt=ssf only"),
        ("ssf", {"dropout": 0.1}, "adapt.dropout=0.1 is read by adapt=lora only"),
        ("head", {"running_statistics": True}, "adapt.running_statistics=true would change"),
        ("full", {"start_from": "adapter.safetensors"}, "adapt=full writes no adapter file"),
    ],
)
def test_settings_that_do_nothing_are_refused(kind, settings, text) -> None:
    """A setting that a kind cannot follow is an error that says which kind can."""
    with pytest.raises(ConfigError) as caught:
        adapt(build("test_efficientnet"), kind, **settings)
    assert text in str(caught.value)


def test_adapting_twice_is_refused() -> None:
    """A second adapter would be folded with the first in an order that nobody chose."""
    network = build("test_resnet")
    adapt(network, "lora")
    with pytest.raises(ConfigError, match="adapted already"):
        adapt(network, "ssf")


def test_parameter_groups_hold_what_is_trained_once() -> None:
    """Head and trained parameters stand in exactly one group each; matrices decay, scales and biases do not."""
    network = build("tf_mobilenetv3_small_100")
    adaptation = adapt(network, "lora", backbone_lr_factor=0.5)
    groups = adaptation.group_parameters(network, 0.1, 0.02)
    places = [id(parameter) for group in groups for parameter in group["params"]]
    trained = [value for name, value in network.backbone.named_parameters() if name in adaptation.trained]
    assert sorted(places) == sorted(id(parameter) for parameter in [*trained, *network.head.parameters()])
    assert groups[0]["params"] == [network.head.weight]
    for group in groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}
    assert {group["lr"] for group in groups} == {0.1, 0.05}


@pytest.mark.parametrize("kind", ["full", "lora", "ssf"])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_learning_rate_falls_towards_the_input(backbone, kind) -> None:
    """Each layer group has the given share of the next one's learning rate; the last one has the backbone's own."""
    network = build(backbone)
    adaptation = adapt(network, kind, layer_decay=0.5, backbone_lr_factor=1.0)
    rate_of = {
        id(parameter): group["lr"]
        for group in adaptation.group_parameters(network, 1.0, 0.0)
        for parameter in group["params"]
    }
    rates = [rate_of[id(value)] for name, value in network.backbone.named_parameters() if name in adaptation.trained]
    assert rates[-1] == 1.0
    steps = sorted(set(rates), reverse=True)
    assert steps == [0.5**place for place in range(len(steps))]
    assert len(steps) >= 9
    if not backbone.startswith("vit"):
        # The transformer's class token and positions stand before its patches in timm's list, in the same first group.
        assert rates == sorted(rates)
    assert rate_of[id(network.head.weight)] == 1.0


def test_without_layer_decay_all_have_one_rate() -> None:
    """layer_decay=1 is no decay."""
    network = build("resnet18")
    groups = adapt(network, "full", layer_decay=1.0, backbone_lr_factor=0.3).group_parameters(network, 1.0, 0.0)
    assert {group["lr"] for group in groups} == {1.0, 0.3}


@pytest.mark.parametrize("kind", ["lora", "ssf", "norm"])
def test_an_adapted_network_can_be_copied(kind) -> None:
    """A deep copy gives the same answers, goes its own way, and can be folded: averages of weights live on this."""
    network = build("test_efficientnet")
    adaptation = adapt(network, kind)
    disturb(network, adaptation)
    twin = copy.deepcopy(network)
    images = draw_images()
    with torch.inference_mode():
        before = network(images)
        assert torch.equal(twin(images), before)
        disturb(twin, adaptation, seed=9)
        assert not torch.equal(twin(images), before)
        assert torch.equal(network(images), before)
    merge_adapters(twin)
    twin.load_state_dict(build("test_efficientnet").state_dict())


def test_seed_decides_the_low_rank_update() -> None:
    """The same seed draws the same matrices, another seed others."""

    def draw(seed) -> torch.Tensor:
        network = build("test_resnet")
        torch.manual_seed(seed)
        adapt_network(network, AdaptConfig(kind=AdaptKind.lora))
        return network.backbone.get_parameter("layer1.0.conv1.parametrizations.weight.0.down").detach()

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
