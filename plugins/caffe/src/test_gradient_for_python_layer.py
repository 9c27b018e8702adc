"""The gradient check for Python layers, under the name that tutorials import it by.

from test_gradient_for_python_layer import test_gradient_for_python_layer
"""

from bicerin.testing.python_layer import test_gradient_for_python_layer

__all__ = ["test_gradient_for_python_layer"]
