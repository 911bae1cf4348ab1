"""`phytoscope adapters` shows what each adapter trains, for any backbone, without data."""

import pytest
from typer.testing import CliRunner

from phytoscope import cli
from phytoscope.errors import ConfigError


def call(*words):
    return CliRunner().invoke(cli.app, ["adapters", *words], env={"COLUMNS": "120"})


def read_rows(output) -> dict[str, list[str]]:
    """Cells of the table by the name of the adapter."""
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]
    # On a narrow terminal a row goes on in lines without a name.
    return {cells[0]: cells[1:] for cells in lines if cells[0]}


def test_every_adapter_has_a_row() -> None:
    """Parameters, share and size of the file stand in one row each; the head's 38 x 513 numbers are in all of them."""
    result = call("model=resnet18")
    assert result.exit_code == 0
    rows = read_rows(result.output)
    assert list(rows) == ["head", "bitfit", "norm", "lora", "ssf", "last_stages", "full"]
    head = 38 * 513
    assert rows["head"][1:] == [f"{head:,}", "0.17 %", "78 kB"]
    assert rows["norm"][1] == f"{head + 9600:,}"
    assert rows["full"][1:] == [f"{head + 11_176_512:,}", "100.00 %", "44.8 MB"]
    assert "Left out: adapt.kind=se trains the squeeze-and-excite blocks" in result.output
    assert f"always has {head + 11_176_512:,} parameters" in result.output


def test_settings_are_followed() -> None:
    """Rank, stages and targets change the rows that read them, and no other row refuses them."""
    before = read_rows(call("model=resnet18").output)
    result = call("model=resnet18", "adapt.rank=1", "adapt.stages=2", "adapt.targets=layer4", "adapt.dropout=0.1")
    assert result.exit_code == 0
    after = read_rows(result.output)
    assert {name for name in after if after[name] != before[name]} == {"lora", "ssf", "last_stages"}


def test_a_preset_may_be_named() -> None:
    """The table has all rows whatever preset the words name; learned statistics of the presets count in the file."""
    rows = read_rows(call("model=resnet18", "adapt=norm").output)
    assert rows == read_rows(call("model=resnet18").output)
    # Mean and variance of 4,800 channels, and 20 counters of 8 bytes.
    assert rows["norm"][3] == f"{(4 * (38 * 513 + 9600 + 9600) + 20 * 8) / 1000:.0f} kB"


def test_wrong_settings_are_said() -> None:
    """An unknown backbone is an error, as everywhere."""
    with pytest.raises(ConfigError, match="timm knows no such model"):
        CliRunner().invoke(
            cli.app, ["adapters", "model.backbone=no_such_net", "model=resnet18"], catch_exceptions=False
        )
