"""YAML groups of settings, and the one function that composes them into a `RunConfig`."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from phytoscope.configs.experiment_file import expand_experiment
from phytoscope.configs.ranges import check_ranges
from phytoscope.configs.words import normalise_words
from phytoscope.errors import ConfigError
from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

CONFIG_DIR = Path(__file__).resolve().parent


def list_groups() -> dict[str, list[str]]:
    """Group name -> names of the presets in it, for help texts and error messages."""
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(CONFIG_DIR.iterdir())
        if folder.is_dir() and not folder.name.startswith("_")
    }


def compose_config(overrides: Sequence[str]) -> RunConfig:
    """Composes the settings from the YAML groups and the words of a command line.

    Args:
        overrides: Words such as `data=folder`, `data.root=leaves`, `trainer.max_epochs=5`. A later word wins over an
            earlier one for the same key. Values with spaces, parentheses or commas need no quotes.

    Returns:
        The resolved settings; `overrides` in them holds the words.

    Raises:
        ConfigError: A key or a value is unknown, of the wrong type, out of range or missing; the text says what would
            work.
    """
    words = normalise_words(expand_experiment(overrides), list_groups())
    if not any(word.startswith("data=") for word in words):
        message = (
            "no data were named. Add data=folder data.root=DIR (a folder of class folders), data=plantvillage "
            "data.root=DIR, data=table data.table=FILE data.images=DIR data.target=COLUMN, or data=farmbot_biomass "
            "data.root=DIR."
        )
        raise ConfigError(message)
    # Loaded late, because the names of groups and keys alone are asked for at each press of the Tab key.
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException

    from phytoscope.configs.hydra_turn import take_turn

    store = ConfigStore.instance()
    store.store(name="schema_run", node=RunConfig)
    for group, schema in SCHEMA_OF_GROUP.items():
        store.store(group=group, name=f"schema_{group}", node=schema)
    try:
        with take_turn(), initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            composed = compose(config_name="config", overrides=[_open_space(word) for word in words])
        OmegaConf.resolve(composed)
        config = OmegaConf.to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error)) from error
    if not isinstance(config, RunConfig):
        message = f"the composed settings are a {type(config).__name__}, expected RunConfig: config.yaml must list it."
        raise ConfigError(message)
    config.overrides = words
    check_ranges(config)
    return config


def _open_space(word: str) -> str:
    # The keys of the space are settings, which Hydra would not add to a group without being told.
    return f"++{word}" if word.startswith("sweep.space=") else word


def _explain(error: Exception) -> str:
    # The innermost error that names a key says most; below it there may be one with a text that is not filled in.
    chain: list[BaseException] = [error]
    # While a debugger or a coverage tool watches, the library's errors can be causes of each other.
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    clearest = next((found for found in reversed(chain) if "full_key: " in str(found)), chain[-1])
    lines = [line.strip() for line in str(clearest).splitlines() if line.strip()]
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("full_key:")), "")
    if named and lines[0].endswith("is not Optional"):
        return f"{named}=null: it cannot be left open. Leave the word out to keep the default."
    return f"{named + ': ' if named else ''}{lines[0] if lines else type(error).__name__}"
