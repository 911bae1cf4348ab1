"""Pixels: decoding, the deterministic preparation that ships with a model, and random changes for training."""
