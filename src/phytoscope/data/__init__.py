"""Reads, validates, splits and caches the user's data, in the known layouts, and draws sets whose truth is known."""
