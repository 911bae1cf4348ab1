"""Figures and the HTML report, drawn from tables and reports only."""
