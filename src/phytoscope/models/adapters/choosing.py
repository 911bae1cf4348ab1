"""Which parameters of a backbone each kind of adapter trains; those that it adds are added here."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn
from torch.nn.utils import parametrize

from phytoscope.errors import ConfigError
from phytoscope.models.adapters.layer_groups import group_layers
from phytoscope.models.adapters.layers import (
    find_low_rank_layers,
    find_scaled_layers,
    is_norm,
    is_squeeze_excite,
    keeps_statistics,
)
from phytoscope.models.adapters.low_rank import add_low_rank
from phytoscope.models.adapters.scale_shift import add_scale_and_shift
from phytoscope.schema.choices import AdaptKind
from phytoscope.schema.train_config import AdaptConfig

_ADDED = ".parametrizations."
_WITH_TARGETS = (AdaptKind.lora, AdaptKind.ssf)
_WITH_STATISTICS = (AdaptKind.bitfit, AdaptKind.norm, AdaptKind.se, AdaptKind.lora, AdaptKind.ssf)


@dataclass(frozen=True)
class Choice:
    """What of a backbone is trained.

    Attributes:
        trained: Names of the parameters.
        statistics: Names of the modules whose running statistics are learned.
        active: Names of the modules that are in training mode.
    """

    trained: frozenset[str]
    statistics: frozenset[str]
    active: frozenset[str]


def choose_trained(backbone: nn.Module, config: AdaptConfig) -> Choice:
    """Chooses what is trained, and adds what has to be added.

    Args:
        backbone: A timm model without its classifier; adapters are put on its layers in place.
        config: Which kind, and its settings.

    Raises:
        ConfigError: A setting does not fit the kind or the backbone, or the backbone is adapted already.
    """
    _check_settings(config)
    if any(parametrize.is_parametrized(module) for module in backbone.modules()):
        message = "the backbone is adapted already: fold its adapters first (merge_adapters), or take a fresh network."
        raise ConfigError(message)
    match config.kind:
        case AdaptKind.head:
            trained = []
        case AdaptKind.bitfit:
            trained = _expect(_list_biases(backbone), backbone, config, "biases")
        case AdaptKind.norm:
            trained = _expect(_list_below(backbone, is_norm), backbone, config, "normalisation layers that scale")
        case AdaptKind.se:
            trained = _expect(_list_below(backbone, is_squeeze_excite), backbone, config, "squeeze-and-excite blocks")
        case AdaptKind.lora:
            names = find_low_rank_layers(backbone, config.targets)
            add_low_rank(backbone, names, rank=config.rank, alpha=config.alpha, dropout=config.dropout)
            trained = _list_added(backbone)
        case AdaptKind.ssf:
            add_scale_and_shift(backbone, find_scaled_layers(backbone, config.targets))
            trained = _list_added(backbone)
        case AdaptKind.last_stages:
            trained = _list_last_stages(backbone, config.stages)
        case AdaptKind.full:
            trained = [name for name, _ in backbone.named_parameters()]
    return _complete(backbone, config, frozenset(trained))


def keep_readable(config: AdaptConfig) -> AdaptConfig:
    """The same settings without those that their kind does not read and would refuse.

    Args:
        config: Settings, some of them perhaps meant for another kind.
    """
    kind = config.kind
    return replace(
        config,
        targets=config.targets if kind in _WITH_TARGETS else None,
        dropout=config.dropout if kind is AdaptKind.lora else 0.0,
        running_statistics=config.running_statistics and kind is not AdaptKind.head,
        start_from=None,
    )


def _check_settings(config: AdaptConfig) -> None:
    # A setting that does nothing is worse than an error.
    kind = config.kind
    faults = []
    if config.targets is not None and kind not in _WITH_TARGETS:
        faults.append(f"adapt.targets={config.targets!r} is read by adapt=lora and adapt=ssf only")
    if config.dropout > 0 and kind is not AdaptKind.lora:
        faults.append(f"adapt.dropout={config.dropout:g} is read by adapt=lora only")
    if config.running_statistics and kind is AdaptKind.head:
        faults.append("adapt.running_statistics=true would change a backbone that adapt=head leaves as it is")
    if config.start_from is not None and kind is AdaptKind.full:
        faults.append("adapt.start_from: adapt=full writes no adapter file; give its weights as model.weights instead")
    if faults:
        message = f"adapt.kind={kind.value}: {'; '.join(faults)}."
        raise ConfigError(message)


def _complete(backbone: nn.Module, config: AdaptConfig, trained: frozenset[str]) -> Choice:
    modules = dict(backbone.named_modules())
    if config.kind is AdaptKind.full:
        active = set(modules)
    elif config.kind is AdaptKind.last_stages:
        active = {name for name in modules if name and _stands_in(backbone, name, trained)}
    else:
        active = {name for name in modules if _ADDED in f"{name}."}
        if config.running_statistics and config.kind in _WITH_STATISTICS:
            active |= set(_list_norms_behind(modules, trained))
    statistics = {name for name in active if keeps_statistics(modules[name])}
    return Choice(trained, frozenset(statistics), frozenset(active))


def _list_norms_behind(modules: dict[str, nn.Module], trained: frozenset[str]) -> list[str]:
    # What stands before the first trained layer must not change, so that it can be computed once for all epochs.
    owners = {name.partition(_ADDED)[0] if _ADDED in name else name.rpartition(".")[0] for name in trained}
    names = list(modules)
    first = min(names.index(owner) for owner in owners)
    return [name for name in names[first:] if keeps_statistics(modules[name])]


def _stands_in(backbone: nn.Module, name: str, trained: frozenset[str]) -> bool:
    # Stages end where modules end, so a module belongs to the trained stages when all its parameters do.
    own = [f"{name}.{parameter}" for parameter, _ in backbone.get_submodule(name).named_parameters()]
    return bool(own) and all(parameter in trained for parameter in own)


def _expect(names: list[str], backbone: nn.Module, config: AdaptConfig, what: str) -> list[str]:
    if names:
        return names
    fitting = [kind.value for kind, found in _list_what_is_there(backbone).items() if found]
    message = (
        f"adapt.kind={config.kind.value} trains the {what} of a backbone, and this one ({type(backbone).__name__}) has "
        f"none: choose another model.backbone, or one of adapt={', '.join(fitting)}."
    )
    raise ConfigError(message)


def _list_what_is_there(backbone: nn.Module) -> dict[AdaptKind, bool]:
    return {
        AdaptKind.head: True,
        AdaptKind.bitfit: bool(_list_biases(backbone)),
        AdaptKind.norm: any(is_norm(module) for module in backbone.modules()),
        AdaptKind.se: any(is_squeeze_excite(module) for module in backbone.modules()),
        AdaptKind.lora: bool(find_low_rank_layers(backbone, None)),
        AdaptKind.ssf: bool(find_scaled_layers(backbone, None)),
        AdaptKind.last_stages: hasattr(backbone, "group_matcher"),
        AdaptKind.full: True,
    }


def _list_biases(backbone: nn.Module) -> list[str]:
    return [name for name, _ in backbone.named_parameters() if name.rpartition(".")[2] == "bias"]


def _list_below(backbone: nn.Module, fits: Callable[[nn.Module], bool]) -> list[str]:
    return [
        f"{name}.{parameter}"
        for name, module in backbone.named_modules()
        if fits(module)
        for parameter, _ in module.named_parameters()
    ]


def _list_added(backbone: nn.Module) -> list[str]:
    names = (name for name, _ in backbone.named_parameters())
    return [name for name in names if _ADDED in name and not name.endswith(".original")]


def _list_last_stages(backbone: nn.Module, count: int) -> list[str]:
    groups = group_layers(backbone, coarse=True, setting="adapt=last_stages")
    if count >= len(groups):
        message = (
            f"adapt.stages={count}: the backbone has a stem and {len(groups) - 1} stages; choose fewer than "
            f"{len(groups)}, or adapt=full to train all of it."
        )
        raise ConfigError(message)
    return [name for group in groups[-count:] for name in group]
