"""Training: Lightning tasks and the wiring of the trainer."""
