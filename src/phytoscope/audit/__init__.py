"""What is wrong with a data set, measured before anything is trained on it: the room of `phytoscope inspect`."""
