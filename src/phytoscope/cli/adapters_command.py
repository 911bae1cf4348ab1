"""The table of adapters: what each one trains of a backbone, and what it takes to store it."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from phytoscope.cli.compose import Settings
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.terminal import err, out

if TYPE_CHECKING:
    from phytoscope.models.adapters import TrainedCount
    from phytoscope.schema.train_config import AdaptConfig, ModelConfig

_WORDS = {
    "head": "nothing",
    "bitfit": "biases",
    "norm": "scale and shift of the norms",
    "se": "squeeze-and-excite blocks",
    "lora": "low-rank updates of the weights",
    "ssf": "a scale and shift after each layer",
    "last_stages": "the last stages",
    "full": "everything",
}


def adapters(settings: Settings = None, as_json: AsJson = False) -> None:
    """Show what each adapter trains of a backbone, and how large its file is. Needs no data and no weights.

    Settings: adapt, model

    Examples:
        phytoscope adapters model=resnet18
        phytoscope adapters model=mobilenetv3_small adapt.rank=4 adapt.stages=2
        phytoscope adapters model=resnet18 --json
    """
    from phytoscope.configs import compose_config

    # The number of classes is not known without data; PlantVillage's stands for it.
    classes = 38
    words = ["data=plantvillage", "data.root=.", *(word for word in settings or [] if not word.startswith("adapt="))]
    config = compose_config(words)
    with err.status("Starting"):
        from phytoscope.schema.choices import AdaptKind
    # Each row is what `adapt=KIND` gives, so its preset counts too.
    found = {
        kind.value: _count(config.model, compose_config([*words, f"adapt={kind.value}"]).adapt, classes)
        for kind in AdaptKind
    }
    counts = {kind: count for kind, count in found.items() if not isinstance(count, str)}
    left_out = {kind: count for kind, count in found.items() if isinstance(count, str)}
    plain = next((count.plain for count in counts.values()), 0)
    if as_json:
        rows = [
            {
                "adapt": kind,
                "trains": _WORDS[kind],
                "trained_parameters": count.backbone + count.head,
                "share": count.share,
                "file_bytes": count.file_bytes,
            }
            for kind, count in counts.items()
        ]
        about = {"backbone": config.model.backbone, "classes": classes, "parameters": plain}
        print_json(about | {"adapters": rows, "left_out": left_out})
        return
    table = Table(title=f"{config.model.backbone}, head of {classes} classes", title_justify="left")
    table.add_column("adapt")
    table.add_column("trained beside the head")
    for heading in ("trained", "share", "file"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, count in counts.items():
        numbers = (f"{count.backbone + count.head:,}", f"{100 * count.share:.2f} %", _word_size(count.file_bytes))
        table.add_row(kind, _WORDS[kind], *numbers)
    out.print(table)
    out.print(f"Adapters are folded in after training: the finished network always has {plain:,} parameters.")
    for reason in left_out.values():
        out.print(f"Left out: {escape(reason)}")


def _count(model: "ModelConfig", adapt: "AdaptConfig", classes: int) -> "TrainedCount | str":
    import dataclasses

    from phytoscope.errors import ConfigError
    from phytoscope.models.adapters import adapt_network, count_trained
    from phytoscope.models.adapters.choosing import keep_readable
    from phytoscope.models.network import build_network

    network, _ = build_network(dataclasses.replace(model, weights="random"), classes)
    try:
        adaptation = adapt_network(network, keep_readable(adapt))
    except ConfigError as error:
        return str(error)
    return count_trained(network, adaptation)


def _word_size(n_bytes: int) -> str:
    return f"{n_bytes / 1000:,.0f} kB" if n_bytes < 1_000_000 else f"{n_bytes / 1_000_000:,.1f} MB"
