"""LRN, MVN, batch normalization, scale and bias."""
