"""Losses of classes and of numbers."""
