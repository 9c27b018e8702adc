"""Export of Caffe nets to PyTorch: a readable module, and its weights."""

from bicerin_onnx.pytorch.exporter import export, export_layer
from bicerin_onnx.pytorch.program import Program

__all__ = ["Program", "export", "export_layer"]
