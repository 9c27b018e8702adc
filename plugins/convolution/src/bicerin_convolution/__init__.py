"""Convolution, deconvolution and im2col."""
