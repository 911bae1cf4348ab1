"""Settings of the service."""

import pytest

from phytoscope.api.server import pack_config, unpack_config
from phytoscope.configs.serving import compose_serve
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import Runtime
from phytoscope.schema.serve import LogFormat, ServeConfig


def test_settings_compose_without_data():
    """The service needs no settings of a training."""
    assert compose_serve([]) == ServeConfig()
    config = compose_serve(["serve.port=0", "serve.runtime=torch", "serve.log_format=json", "serve.reload_s=null"])
    assert (config.port, config.runtime, config.log_format, config.reload_s) == (0, Runtime.torch, LogFormat.json, None)
    assert unpack_config(pack_config(config)) == config


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.root=x", "is no setting of the service"),
        ("port=1", "is no setting of the service"),
        ("serve.prot=1", "did you mean 'serve.port'"),
        ("serve.port=70000", "from 0 to 65535"),
        ("serve.workers=0", "above 0"),
        ("serve.max_mb=0", "above 0"),
        ("serve.deadline_s=-1", "above 0"),
        ("serve.reload_s=0", "0.1 or above"),
        ("serve.decoder_memory_mb=1", "64 or above"),
        ("serve.max_mb=600", "at most serve.memory_mb=512"),
        ("serve.retention_days=1000000", "at most 36500"),
        ("serve.allowed_hosts=['https://lab']", "without http:// and port"),
        ("serve.queue_size=8", "serve.max_files=16 must be at most serve.queue_size=8"),
    ],
)
def test_impossible_settings_are_refused(word, said):
    """Each with what is allowed."""
    with pytest.raises(ConfigError, match=said):
        compose_serve([word])


def test_pictures_without_records_are_refused():
    """A setting that does nothing is an error."""
    with pytest.raises(ConfigError, match=r"serve\.records=true"):
        compose_serve(["serve.records=false", "serve.keep_images=pictures"])
