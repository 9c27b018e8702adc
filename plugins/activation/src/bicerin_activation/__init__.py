"""Element-wise activations and dropout."""
