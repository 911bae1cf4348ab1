"""What Python programs and notebooks call: read, inspect, split, train, evaluate; the same steps as the commands."""
