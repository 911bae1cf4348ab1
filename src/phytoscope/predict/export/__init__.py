"""The same network for other runtimes: ONNX, OpenVINO, 8 bits, each compared with torch before anybody gets it."""
