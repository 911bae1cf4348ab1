"""Adapters: which parameters of a backbone are trained or added, and how they are folded into it afterwards."""

from phytoscope.models.adapters.adaptation import Adaptation, adapt_network
from phytoscope.models.adapters.merging import merge_adapters

__all__ = ["Adaptation", "adapt_network", "merge_adapters"]
