"""The focal loss (Lin et al., 2017) as a Python layer: cross entropy that counts hard examples more.

    FL = -(1 - p)^gamma log(p),    p: the probability that softmax gives the right class

A net names this file and class in `python_param`; nothing is to be installed or registered.
"""

import numpy as np


class FocalLoss:
    """Bottoms: scores (N, C) and labels (N,). Top: the mean loss, a scalar. `param_str`: "gamma=2"."""

    def setup(self, bottom, top):
        key, _, value = self.param_str.partition("=")
        if key != "gamma":
            raise ValueError(f'param_str must be "gamma=NUMBER", not {self.param_str!r}')
        self.gamma = float(value)

    def reshape(self, bottom, top):
        top[0].reshape()

    def forward(self, bottom, top):
        scores = bottom[0].data - bottom[0].data.max(axis=1, keepdims=True)
        self.probability = np.exp(scores)
        self.probability /= self.probability.sum(axis=1, keepdims=True)
        self.rows = np.arange(len(scores)), bottom[1].data.astype(int)
        right = np.maximum(self.probability[self.rows], 1e-12)
        top[0].data[...] = np.mean(-((1 - right) ** self.gamma) * np.log(right))

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        right = np.maximum(self.probability[self.rows], 1e-12)
        # d FL / d log p; then d log p / d score is the one-hot label less the probabilities.
        slope = self.gamma * (1 - right) ** (self.gamma - 1) * right * np.log(right) - (1 - right) ** self.gamma
        bottom[0].diff[...] = -slope[:, None] * self.probability
        bottom[0].diff[self.rows] += slope
        bottom[0].diff[...] *= top[0].diff / len(slope)
