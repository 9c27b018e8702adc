"""Layers that read text: connectionist temporal classification, and what its nets are made of."""
