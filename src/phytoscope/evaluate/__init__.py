"""From the table of predictions to an EvaluationReport: metrics, baselines, doubts. No model, no torch."""
