"""Layers that arrange, join, cut and reduce blobs."""
