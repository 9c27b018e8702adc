"""MyLayer: a layer plugin of Bicerin."""
