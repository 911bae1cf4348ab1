"""The HTTP service: photographs in, answers with a verdict out."""
