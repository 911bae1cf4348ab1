"""Adapters: which parameters of a backbone are trained or added, and how they are folded into it afterwards."""

from phytoscope.models.adapters.adaptation import Adaptation, adapt_network
from phytoscope.models.adapters.counting import TrainedCount, count_trained
from phytoscope.models.adapters.files import AdapterFile, attach_adapter, load_adapter, read_adapter, save_adapter
from phytoscope.models.adapters.hashing import hash_backbone
from phytoscope.models.adapters.merging import merge_adapters
from phytoscope.models.adapters.stages import BackboneElement, find_first_trained, run_elements, split_backbone

__all__ = [
    "Adaptation",
    "AdapterFile",
    "BackboneElement",
    "TrainedCount",
    "adapt_network",
    "attach_adapter",
    "count_trained",
    "find_first_trained",
    "hash_backbone",
    "load_adapter",
    "merge_adapters",
    "read_adapter",
    "run_elements",
    "save_adapter",
    "split_backbone",
]
