"""What computes the network of a package: torch, ONNX Runtime or OpenVINO, in 32 bits or 8."""
