"""What is measured beside each other: each module has `available()` and `Peer`.

A `Peer(net, weights, train, threads)` takes a NetParameter of `bench/models.py` and the weights by layer name, and has
`run(inputs)`, one forward pass or training step, and `outputs()`, the scores of the last forward pass.
"""

from __future__ import annotations

NAMES = ("bicerin", "torch", "onnxruntime", "openvino", "opencv", "caffe")
#: Those that can train.
TRAINING = ("bicerin", "torch", "caffe")
