"""What becomes of an address such as `s3://bucket/run` where an argument or option takes a path.

Every argument and option that is a path names one of these functions as its `callback`, unless what it calls reads
addresses itself. `tests/unit/cli/test_addresses.py` holds the list of those.
"""

from pathlib import Path

import typer

from phytoscope.cli.terminal import say
from phytoscope.errors import ConfigError
from phytoscope.schema.address import as_url, word_refusal

_Value = Path | list[Path] | None


def keep_here(context: typer.Context, param: typer.CallbackParam, value: _Value) -> _Value:
    """Refuses an address where only a path on this computer will do.

    Raises:
        ConfigError: It is an address.
    """
    places = value if isinstance(value, list) else [value]
    faults = [place for place in places if place is not None and as_url(place) is not None]
    if faults and not context.resilient_parsing:
        # What a user knows of an argument is the word in the usage line.
        name = (
            param.opts[0] if param.param_type_name == "option" else str(getattr(param, "metavar", None) or param.name)
        )
        message = word_refusal(faults[0], name.strip("[]."))
        raise ConfigError(message)
    return value


def read_here(context: typer.Context, value: _Value) -> _Value:
    """Brings a run, a package or a file that is only read from its address to this computer.

    Raises:
        PhytoscopeError: There is nothing, or the store cannot be reached.
    """
    if context.resilient_parsing or not isinstance(value, Path) or as_url(value) is None:
        return value
    from phytoscope.storage.bringing import bring_here

    return bring_here(value, say)
