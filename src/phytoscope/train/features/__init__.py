"""The features of a backbone that is not trained, computed once, and heads fitted to them."""

from phytoscope.train.features.extraction import FeatureExtraction, extract_features
from phytoscope.train.features.fit import fit_features, start_head

__all__ = ["FeatureExtraction", "extract_features", "fit_features", "start_head"]
