"""Export of Caffe nets to ONNX: `export` makes the model, `verify` compares it with the net, blob by blob."""

from bicerin_onnx.exporter import export, export_layer
from bicerin_onnx.verification import Verification, VerificationError, verify

__all__ = ["Verification", "VerificationError", "export", "export_layer", "verify"]
