"""Caffe's Python module and commands, translated to Bicerin; `import caffe` gives what stands here."""
