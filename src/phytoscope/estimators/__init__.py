"""Networks as scikit-learn estimators: fit, predict, predict_proba, for cross-validation and pipelines people know."""
