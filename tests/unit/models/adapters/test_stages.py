"""The chain of elements of a backbone, and where in it training begins."""

import dataclasses

import pytest
import timm
import torch

from factories.adapters import FAMILIES, adapt, build, disturb, draw_images
from phytoscope.errors import ConfigError
from phytoscope.models.adapters import find_first_trained, run_elements, split_backbone

SPLIT = [*FAMILIES, "test_resnet", "test_efficientnet", "test_vit", "test_convnext"]


@pytest.mark.parametrize("backbone", SPLIT)
@pytest.mark.parametrize("kind", ["head", "lora"])
def test_the_chain_gives_the_features(backbone, kind) -> None:
    """Element after element, cut anywhere, gives exactly the features that the network gives, adapted or not."""
    network = build(backbone)
    disturb(network, adapt(network, kind))
    elements = split_backbone(network.backbone)
    images = draw_images()
    with torch.inference_mode():
        expected = network.features(images)
        for cut in (0, 1, len(elements) // 2, len(elements)):
            middle = run_elements(elements[:cut], network.normalise(images))
            assert torch.equal(run_elements(elements[cut:], middle), expected)


@pytest.mark.parametrize("backbone", SPLIT)
def test_every_parameter_belongs_to_one_element(backbone) -> None:
    """No parameter or buffer of the backbone is left out of the chain, and none stands in it twice."""
    network = build(backbone)
    elements = split_backbone(network.backbone)
    for name in network.backbone.state_dict():
        assert sum(element.holds(name) for element in elements) == 1
    own = {id(value) for value in network.backbone.parameters()}
    found = [id(value) for element in elements for value in element.module.parameters()]
    assert sorted(found) == sorted(own)


@pytest.mark.parametrize(
    ("backbone", "kind", "settings", "expected"),
    [
        ("tf_mobilenetv3_small_100", "head", {}, None),
        ("tf_mobilenetv3_small_100", "last_stages", {}, "blocks.5.0"),
        ("tf_mobilenetv3_small_100", "se", {}, "blocks.0.0"),
        ("tf_mobilenetv3_small_100", "full", {}, "conv_stem"),
        ("tf_mobilenetv3_small_100", "norm", {}, "bn1"),
        ("tf_mobilenetv3_small_100", "norm", {"running_statistics": True}, "bn1"),
        ("tf_mobilenetv3_small_100", "lora", {"targets": r"blocks\.[45]\.|conv_head"}, "blocks.4.0"),
        ("tf_efficientnet_lite0", "ssf", {"targets": "conv_head"}, "conv_head"),
        ("resnet18", "last_stages", {"stages": 2}, "layer3.0"),
        ("vit_tiny_patch16_224", "last_stages", {"stages": 3}, "blocks.9"),
        ("vit_tiny_patch16_224", "bitfit", {}, "patch_embed"),
    ],
)
def test_where_training_begins(backbone, kind, settings, expected) -> None:
    """The first trained element is the one with the first trained parameter; none when only the head is trained."""
    network = build(backbone)
    adaptation = adapt(network, kind, **settings)
    names = [element.name for element in split_backbone(network.backbone)]
    assert [*names, None][find_first_trained(network, adaptation)] == expected


def test_statistics_are_learned_from_the_first_adapted_layer_on() -> None:
    """Norms before the first adapted layer stay as they are, so that what stands before it can be computed once."""
    network = build("tf_efficientnet_lite0")
    adaptation = adapt(network, "lora", targets=r"blocks\.6\.0\.conv_dw|conv_head", running_statistics=True)
    assert adaptation.statistics == {"blocks.6.0.bn2", "blocks.6.0.bn3", "bn2"}
    names = [element.name for element in split_backbone(network.backbone)]
    assert names[find_first_trained(network, adaptation)] == "blocks.6.0"


def test_learned_statistics_count_as_trained() -> None:
    """An element whose statistics are learned cannot be computed once, even when no parameter of it is trained."""
    network = build("tf_efficientnet_lite0")
    adaptation = dataclasses.replace(adapt(network, "head"), statistics=frozenset({"blocks.3.0.bn1"}))
    names = [element.name for element in split_backbone(network.backbone)]
    assert names[find_first_trained(network, adaptation)] == "blocks.3.0"


@pytest.mark.parametrize("backbone", ["test_byobnet", "deit_tiny_distilled_patch16_224"])
def test_unknown_families_are_refused(backbone) -> None:
    """A family with another order of execution, or a kin that does something else in between, is an error."""
    model = timm.create_model(backbone, pretrained=False, num_classes=0)
    with pytest.raises(ConfigError, match=r"order of execution .* is not known, only in those of MobileNetV3, Eff"):
        split_backbone(model)
