"""Adapter files: small, complete, and refused on any backbone but their own."""

import json

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from factories.adapters import KINDS, adapt, build, disturb, draw_images, take_steps
from phytoscope.errors import WeightsError
from phytoscope.models.adapters import attach_adapter, hash_backbone, load_adapter, read_adapter, save_adapter

ANSWERS = ("healthy", "rust", "scab")


def write(tmp_path, backbone, kind, *, seed=0, **settings):
    """Trains an adapter a little on a backbone, saves it, and gives the file and the network's answers."""
    network = build(backbone, seed=seed)
    adaptation = adapt(network, kind, **settings)
    take_steps(network, adaptation)
    path = tmp_path / "adapter.safetensors"
    save_adapter(network, adaptation, path, backbone=backbone, answers=ANSWERS)
    with torch.inference_mode():
        return path, network.eval()(draw_images())


@pytest.mark.parametrize(
    ("backbone", "kind"),
    [("tf_mobilenetv3_small_100", kind) for kind in KINDS if kind != "full"]
    + [(backbone, kind) for backbone in ("test_resnet", "test_vit") for kind in KINDS if kind not in ("full", "se")],
)
def test_the_same_backbone_and_the_file_give_the_same_answers(backbone, kind, tmp_path) -> None:
    """A fresh network with the pre-trained weights and the file answers bit for bit as the trained one."""
    path, expected = write(tmp_path, backbone, kind)
    fresh = build(backbone)
    adaptation = attach_adapter(fresh, path, backbone=backbone)
    assert adaptation.config.kind is kind
    with torch.inference_mode():
        assert torch.equal(fresh.eval()(draw_images()), expected)


@pytest.mark.parametrize("kind", ["norm", "ssf", "lora"])
def test_learned_statistics_are_in_the_file(kind, tmp_path) -> None:
    """Running statistics that were learned come back with the file, those of frozen norms are not in it."""
    path, expected = write(tmp_path, "tf_mobilenetv3_small_100", kind, running_statistics=True)
    fresh = build("tf_mobilenetv3_small_100")
    attach_adapter(fresh, path, backbone="tf_mobilenetv3_small_100")
    with torch.inference_mode():
        assert torch.equal(fresh.eval()(draw_images()), expected)
    (tmp_path / "other").mkdir()
    path, _ = write(tmp_path / "other", "tf_mobilenetv3_small_100", kind)
    assert not [name for name in read_adapter(path).tensors if "running" in name]


@pytest.mark.parametrize(
    ("kind", "settings", "kilobytes"),
    [
        ("head", {}, 14),
        ("bitfit", {}, 65),
        ("norm", {}, 75),
        ("norm", {"running_statistics": True}, 130),
        ("ssf", {}, 150),
        ("lora", {"rank": 4}, 300),
    ],
)
def test_files_are_kilobytes(kind, settings, kilobytes, tmp_path) -> None:
    """An adapter of a network of 6 MB takes some ten to some hundred kilobytes, names and head included."""
    path, _ = write(tmp_path, "tf_mobilenetv3_small_100", kind, **settings)
    assert path.stat().st_size < 1000 * kilobytes


def test_the_file_says_what_it_is(tmp_path) -> None:
    """Backbone, hash, settings and names of the answers stand in the file; where the training began does not."""
    path, _ = write(
        tmp_path, "test_resnet", "lora", rank=3, alpha=2.0, start_from="/photos/of/mine/adapter.safetensors"
    )
    file = read_adapter(path)
    assert (file.backbone, file.answers, file.covariate_dim) == ("test_resnet", ANSWERS, 0)
    assert file.backbone_hash == hash_backbone(build("test_resnet").backbone)
    assert (file.config.kind, file.config.rank, file.config.alpha) == ("lora", 3, 2.0)
    assert b"/photos" not in path.read_bytes()


def test_another_backbone_is_refused(tmp_path) -> None:
    """The name of the backbone must be the one that the adapter was trained on."""
    path, _ = write(tmp_path, "test_resnet", "norm")
    network = build("test_vit")
    with pytest.raises(WeightsError, match="trained on the backbone 'test_resnet', not on 'test_vit'"):
        attach_adapter(network, path, backbone="test_vit")


def test_other_weights_are_refused_with_both_hashes(tmp_path) -> None:
    """The same backbone with other pre-trained weights gives other answers, so the error names both hashes."""
    path, _ = write(tmp_path, "test_resnet", "lora")
    network = build("test_resnet", seed=1)
    here, there = hash_backbone(network.backbone), hash_backbone(build("test_resnet").backbone)
    with pytest.raises(WeightsError, match=f"have the hash {there}, those here {here}"):
        attach_adapter(network, path, backbone="test_resnet")


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        ("lora", {"rank": 4}, "adapt.rank=4 instead of 3"),
        ("lora", {"alpha": 8.0}, "adapt.alpha=8.0 instead of 6.0"),
        ("lora", {"targets": "layer"}, "adapt.targets=layer instead of None"),
        ("lora", {"running_statistics": True}, "adapt.running_statistics=True instead of False"),
        ("ssf", {}, "adapt.kind=ssf instead of lora"),
    ],
)
def test_other_settings_are_refused(kind, settings, text, tmp_path) -> None:
    """A file of other settings would be read as something that it is not; the error names what differs."""
    path, _ = write(tmp_path, "test_resnet", "lora")
    network = build("test_resnet")
    adaptation = adapt(network, kind, **settings)
    with pytest.raises(WeightsError) as caught:
        load_adapter(network, adaptation, path, backbone="test_resnet", answers=ANSWERS)
    assert text in str(caught.value)


def test_settings_of_the_training_may_differ(tmp_path) -> None:
    """Learning rates and frozen epochs decide nothing about what the file holds."""
    path, _ = write(tmp_path, "test_resnet", "norm")
    network = build("test_resnet")
    adaptation = adapt(network, "norm", backbone_lr_factor=0.1, layer_decay=0.9, frozen_epochs=3, rank=2)
    assert load_adapter(network, adaptation, path, backbone="test_resnet", answers=ANSWERS)


@pytest.mark.parametrize("answers", [("a", "b", "c"), ("a", "b")])
def test_a_head_for_another_question_is_left_out(answers, tmp_path) -> None:
    """An adapter helps a new question; its head, whose rows mean other classes, does not."""
    path, _ = write(tmp_path, "test_resnet", "ssf")
    network = build("test_resnet", outputs=len(answers))
    adaptation = adapt(network, "ssf")
    head = network.head.weight.clone()
    assert not load_adapter(network, adaptation, path, backbone="test_resnet", answers=answers)
    assert torch.equal(network.head.weight, head)
    name = sorted(adaptation.trained)[0]
    assert torch.equal(network.backbone.get_parameter(name), read_adapter(path).tensors[f"backbone.{name}"])


def test_attaching_needs_the_same_outputs(tmp_path) -> None:
    """A network with another number of outputs cannot take the head."""
    path, _ = write(tmp_path, "test_resnet", "ssf")
    with pytest.raises(WeightsError, match=r"made for 3 outputs and 0 covariates; this network has 5 and 0"):
        attach_adapter(build("test_resnet", outputs=5), path, backbone="test_resnet")


def test_files_that_are_none(tmp_path) -> None:
    """A missing file, a damaged one, one without the mark and one that lacks a tensor are errors that name the file."""
    whole, _ = write(tmp_path, "test_resnet", "norm")
    damaged, plain, lacking = (tmp_path / f"{name}.safetensors" for name in ("damaged", "plain", "lacking"))
    damaged.write_bytes(whole.read_bytes()[:-40])
    safetensors.torch.save_file({"head.weight": torch.zeros(3, 3)}, plain)
    with safe_open(whole, framework="pt") as file:
        metadata = file.metadata()
    tensors = safetensors.torch.load_file(whole)
    tensors.pop(next(iter(tensors)))
    safetensors.torch.save_file(tensors, lacking, metadata)
    for path, text in (
        (tmp_path / "absent.safetensors", "cannot be read"),
        (damaged, "cannot be read"),
        (plain, "is no adapter file"),
        (lacking, "does not hold the tensors"),
    ):
        with pytest.raises(WeightsError, match=text) as caught:
            attach_adapter(build("test_resnet"), path, backbone="test_resnet")
        assert path.name in str(caught.value)
    odd = tmp_path / "odd.safetensors"
    about = json.loads(metadata["about"])
    safetensors.torch.save_file(tensors, odd, {**metadata, "about": json.dumps({**about, "adapt": {"kind": "magic"}})})
    with pytest.raises(WeightsError, match="magic"):
        read_adapter(odd)


def test_hash_tells_weights_and_names_apart() -> None:
    """One changed number is another backbone; the count of batches that a norm has seen is not."""
    network, twin = build("test_resnet"), build("test_resnet")
    assert hash_backbone(network.backbone) == hash_backbone(twin.backbone)
    twin.backbone.bn1.num_batches_tracked += 7
    assert hash_backbone(network.backbone) == hash_backbone(twin.backbone)
    with torch.no_grad():
        twin.backbone.layer1[0].conv1.weight[0, 0, 0, 0] += 1e-6
    assert hash_backbone(network.backbone) != hash_backbone(twin.backbone)


def test_adapting_keeps_the_hash_of_before() -> None:
    """The hash is that of the pre-trained backbone, whatever training does to it afterwards."""
    network = build("test_resnet")
    before = hash_backbone(network.backbone)
    adaptation = adapt(network, "last_stages")
    disturb(network, adaptation)
    assert adaptation.backbone_hash == before
    assert hash_backbone(network.backbone) != before
