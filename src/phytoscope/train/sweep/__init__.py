"""Sweeps: what is tried, the study that remembers it, and the trials that are ended early."""
