"""From a trained model to answers: package, predictor, batch runner, ONNX export. Needs no trainer or pipeline."""
