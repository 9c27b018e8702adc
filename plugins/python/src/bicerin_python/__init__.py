"""Layers written in Python by the user, found by module name."""
