"""oneDNN's primitives as an engine of Caffe's layers, for Bicerin."""
