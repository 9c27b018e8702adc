"""Export of Caffe nets: `export` makes an ONNX model, `pytorch.export` a module of PyTorch, `verify` compares.

`quantize` makes an ONNX model of 8-bit integers from one.
"""

from bicerin_onnx.exporter import export, export_layer
from bicerin_onnx.quantization import Quantization, quantize
from bicerin_onnx.verification import Verification, VerificationError, verify

__all__ = ["Quantization", "Verification", "VerificationError", "export", "export_layer", "quantize", "verify"]
