"""Export of Caffe nets: `export` makes an ONNX model, `pytorch.export` a module of PyTorch, `verify` compares."""

from bicerin_onnx.exporter import export, export_layer
from bicerin_onnx.verification import Verification, VerificationError, verify

__all__ = ["Verification", "VerificationError", "export", "export_layer", "verify"]
