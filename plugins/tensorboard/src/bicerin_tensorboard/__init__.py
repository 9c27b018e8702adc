"""A training in TensorBoard: `bicerin.Solver("solver.prototxt", hooks=[TensorBoard("runs/first")])`."""

from bicerin_tensorboard.tensorboard import TensorBoard

__all__ = ["TensorBoard"]
