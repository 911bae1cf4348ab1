"""What crosses a border: columns and units, settings, predictions, reports, and how artefacts are written. No torch."""
