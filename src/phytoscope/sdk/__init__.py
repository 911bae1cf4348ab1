"""What Python programs and notebooks call: read, inspect, split, train and evaluate, over the same steps as the commands."""
