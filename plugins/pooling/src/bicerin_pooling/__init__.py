"""Pooling and spatial pyramid pooling."""
