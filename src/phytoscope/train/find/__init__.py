"""Finders: a learning rate and a batch size from a few steps on a copy of the network."""
