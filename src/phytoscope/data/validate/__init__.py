"""Every fault of the rows found in one go, the rest kept."""

from phytoscope.data.validate.validation import (
    Validated,
    check_learnable,
    check_strict,
    summarise_rejected,
    validate_source,
)

__all__ = ["Validated", "check_learnable", "check_strict", "summarise_rejected", "validate_source"]
