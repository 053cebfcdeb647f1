"""Trained networks in formats that other software reads: ONNX, TorchScript and bioimage.io packages."""
