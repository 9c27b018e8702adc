"""Layers written in Python by the user, found by module name.

    class HalfSquareLoss:
        def reshape(self, bottom, top):
            top[0].reshape(1)

        def forward(self, bottom, top):
            self.distance = bottom[0].data - bottom[1].data
            top[0].data[...] = (self.distance**2).sum() / (2 * bottom[0].num)

        def backward(self, top, propagate_down, bottom):
            if propagate_down[0]:
                bottom[0].diff[...] = top[0].diff * self.distance / bottom[0].num

In the prototxt:

    layer {
      type: "Python" name: "loss" bottom: "prediction" bottom: "label" top: "loss" loss_weight: 1
      python_param { module: "losses" layer: "HalfSquareLoss" }
    }

`PythonLayer` may be its base; its text says what such a class may define and use.
"""

from bicerin_python.python_layer import PythonLayer

__all__ = ["PythonLayer"]
