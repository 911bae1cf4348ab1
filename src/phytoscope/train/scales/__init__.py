"""The scales on which numbers are learned: chosen before training, corrected after it."""
