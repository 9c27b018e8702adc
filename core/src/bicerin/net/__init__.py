"""Nets: built from prototxt (`rules`, `splits`, `parameters`), run (`net`), loaded and saved (`weights`)."""

from bicerin.net.net import Net
from bicerin.net.weights import LoadReport

__all__ = ["LoadReport", "Net"]
