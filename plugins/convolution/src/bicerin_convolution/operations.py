"""The operations of the three layers, whose CUDA C is one file."""

from __future__ import annotations

from bicerin.layer import Operations

OPERATIONS = Operations("plan", "unfolding", "bias_kernels", cuda="im2col.cu")
