"""Losses, softmax and accuracy."""
