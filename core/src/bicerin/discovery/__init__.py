"""From a name to what an installed distribution brings for it."""
