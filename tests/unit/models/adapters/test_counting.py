"""How much is trained, against counts by hand."""

import pytest
import safetensors.torch

from factories.adapters import KINDS, adapt, build
from phytoscope.errors import ConfigError
from phytoscope.models.adapters import count_trained, save_adapter


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("head", 0), ("norm", 9600), ("bitfit", 4800), ("full", 11_176_512), ("last_stages", 8_393_728)],
)
def test_counts_of_resnet18(kind, expected) -> None:
    """4,800 channels are normalised in a ResNet18; the head of three classes has 512 x 3 + 3 numbers."""
    network = build("resnet18")
    count = count_trained(network, adapt(network, kind))
    assert (count.backbone, count.head, count.plain) == (expected, 1539, 11_176_512 + 1539)
    assert count.share == pytest.approx((expected + 1539) / (11_176_512 + 1539))


def test_counts_of_added_parameters() -> None:
    """A rank-4 update of a 64 x 64 matrix adds 4 x (64 + 64) numbers, a scale and shift after it 2 x 64."""
    network = build("test_vit")
    size = count_trained(network, adapt(network, "lora", rank=4, targets=r"blocks\.0\.attn\.proj")).backbone
    assert size == 4 * (64 + 64)
    network = build("test_vit")
    assert count_trained(network, adapt(network, "ssf", targets=r"blocks\.0\.attn\.proj")).backbone == 2 * 64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backbone", ["tf_mobilenetv3_small_100", "test_vit"])
def test_the_plain_count_does_not_depend_on_the_adapter(backbone, kind) -> None:
    """What the share is a share of is the plain network, without what the adapter adds."""
    network = build(backbone)
    plain = sum(value.numel() for value in network.parameters())
    try:
        adaptation = adapt(network, kind)
    except ConfigError:
        return
    assert count_trained(network, adaptation).plain == plain


def test_file_size_is_that_of_the_tensors(tmp_path) -> None:
    """The size that the table shows is that of the tensors in the file."""
    network = build("test_efficientnet")
    adaptation = adapt(network, "norm", running_statistics=True)
    path = tmp_path / "adapter.safetensors"
    save_adapter(network, adaptation, path, backbone="test_efficientnet", answers=("a", "b", "c"))
    tensors = safetensors.torch.load_file(path)
    assert count_trained(network, adaptation).file_bytes == sum(
        value.numel() * value.element_size() for value in tensors.values()
    )
