"""Folds adapters into the layers beside them, so that the trained network costs no more than the backbone."""

from phytoscope.models.network import PlantNetwork


def merge_adapters(network: PlantNetwork) -> None:
    """Folds every adapter into its layer; afterwards the network has the parameters of a plain one.

    Args:
        network: An adapted network, in evaluation mode or not; changed in place.
    """
