"""How far an answer can be believed: calibration, sets, intervals, novelty, photo quality, verdict. Numpy and scipy."""
