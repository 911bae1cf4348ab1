"""What happened in a run is told to MLflow and Weights & Biases; the registry of models. No torch."""
