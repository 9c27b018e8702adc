"""Fully connected layers and embeddings."""
