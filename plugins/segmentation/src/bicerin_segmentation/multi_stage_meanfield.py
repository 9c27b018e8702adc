"""MultiStageMeanfield: a conditional random field over all pairs of pixels, its mean-field iterations as a layer.

With the unaries U, Q = softmax(start) at first, and in each iteration

    m = Ws (Ks Q) + Wb (Kb Q)
    x = U - M m,    Q = softmax(x)

and the top is the last x, not normalized. Ks is a Gaussian filter over (x, y) / theta_gamma, Kb one over
(x, y) / theta_alpha and the picture's values / theta_beta, both on a permutohedral lattice and divided by their sums.
The weights Ws, Wb and the compatibilities M, `(1, 1, C, C)` each, are learned. They begin as diagonals of
`spatial_filter_weight`, `bilateral_filter_weight` and -1; where a weight is not given, as the fork's file for it says,
`spatial.par` or `bilateral.par` with one number for each class, or 3 and 5 without that.

`threshold` has no effect, in the fork neither. The picture has no gradient.

Source: Zheng et al., "Conditional random fields as recurrent neural networks", 2015, and their layer in
bittnt/caffe and torrvision/crfasrnn.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError, LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, image_shape
from bicerin.layer.data_file import read_data_text
from bicerin_proto import printable
from bicerin_segmentation.lattice import Lattice, bilateral_features, grid_features
from bicerin_segmentation.permutohedral_kernels import MOST_FEATURES

SPATIAL, BILATERAL, COMPATIBILITY = 0, 1, 2


class MultiStageMeanfieldLayer(Layer):
    """Bottoms: unaries `(N, C, H, W)`, the start, which mostly is the same, and the picture `(N, F, H, W)`. Top:
    `(N, C, H, W)`.
    """

    type = "MultiStageMeanfield"
    counts = BlobCounts(bottom=3, top=1)
    operations = Operations("permutohedral_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.multi_stage_meanfield_param
        self.iterations: int = param.num_iterations
        if self.iterations < 1:
            raise LayerError("num_iterations must be > 0.")
        thetas = {name: getattr(param, name) for name in ("theta_alpha", "theta_beta", "theta_gamma")}
        for name, value in thetas.items():
            if not value > 0:
                raise LayerError(f"{name} must be > 0, not {value:g}: it is a filter's standard deviation.")
        self.theta_alpha, self.theta_beta, self.theta_gamma = thetas.values()
        _, self.classes, _, _ = image_shape(bottom[0])
        shape = (1, 1, self.classes, self.classes)
        if not self.blobs:
            for value in (self._first_weights("spatial", 3), self._first_weights("bilateral", 5), -1):
                blob = self.new_blob(shape)
                blob.blob.data[...] = np.diag(np.full(self.classes, value, self.dtype))
                self.blobs.append(blob)
        self.declare_blobs(*[(shape, None)] * 3)
        #: Q of each iteration.
        self.beliefs = self.new_blob(name="beliefs")
        self._spatial: Lattice | None = None
        self._spatial_size: tuple[int, int] | None = None
        self._bilateral: list[Lattice] = []

    def _first_weights(self, name: str, default: float) -> Any:
        """A number, or one for each class."""
        param = self.param.multi_stage_meanfield_param
        if param.HasField(f"{name}_filter_weight"):
            return getattr(param, f"{name}_filter_weight")
        path = self.context.resolve(f"{name}.par")
        if not os.path.exists(path):
            return default
        try:
            values = np.array(read_data_text(path, "weights").split(), np.float64)
        except ValueError:
            raise DataError(f"{printable(path)}: weights of classes are numbers.") from None
        if len(values) < self.classes:
            raise DataError(f"{printable(path)}: {len(values)} weights for {self.classes} classes.")
        return values[: self.classes]

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index < 2

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = number, classes, height, width = image_shape(bottom[0])
        if classes != self.classes:
            raise ShapeError(f"the unaries had {self.classes} classes when the layer was made, and have {classes} now.")
        if bottom[1].shape != shape:
            raise ShapeError(f"the start must have the shape of the unaries: {bottom[1].shape} against {shape}.")
        picture = image_shape(bottom[2])
        if (picture[0], *picture[2:]) != (number, height, width):
            raise ShapeError(f"the picture must have the shape ({number}, F, {height}, {width}), not {picture}.")
        if picture[1] > MOST_FEATURES - 2:
            raise ShapeError(f"the picture may have {MOST_FEATURES - 2} channels at most, not {picture[1]}.")
        self.flat = (number, classes, height * width)
        self.beliefs.reshape(self.iterations, *self.flat)
        top[0].reshape(*shape)

    def _make_lattices(self, picture: Any) -> None:
        _, _, height, width = picture.shape
        if self._spatial_size != (height, width):
            self._spatial = self._lattice(grid_features(self.xp, height, width, self.theta_gamma))
            self._spatial_size = (height, width)
        self._bilateral = [
            self._lattice(bilateral_features(self.xp, image, self.theta_alpha, self.theta_beta)) for image in picture
        ]

    def _lattice(self, features: Any) -> Lattice:
        return Lattice(self.context.device, self.ops, features, self.dtype)

    def _filtered(self, q: Any) -> tuple[Any, Any]:
        """Ks Q and Kb Q."""
        assert self._spatial is not None
        spatial = self._spatial.filter(q.reshape(-1, self.flat[2])).reshape(self.flat)
        bilateral = self.xp.empty_like(q)
        for n, lattice in enumerate(self._bilateral):
            bilateral[n] = lattice.filter(q[n])
        return spatial, bilateral

    def _matrix(self, index: int) -> Any:
        return self.blobs[index].data[0, 0]

    def _message(self, spatial: Any, bilateral: Any) -> Any:
        matmul = self.xp.matmul
        return matmul(self._matrix(SPATIAL), spatial) + matmul(self._matrix(BILATERAL), bilateral)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._make_lattices(bottom[2].data)
        unaries, y = bottom[0].data.reshape(self.flat), top[0].data.reshape(self.flat)
        x = bottom[1].data.reshape(self.flat)
        for q in self.beliefs.data:
            q[...] = self._softmax(x)
            y[...] = unaries - self.xp.matmul(self._matrix(COMPATIBILITY), self._message(*self._filtered(q)))
            x = y

    def _softmax(self, x: Any) -> Any:
        e = self.xp.exp(x - x.max(axis=1, keepdims=True))
        e /= e.sum(axis=1, keepdims=True)
        return e

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        unaries_diff = self.xp.zeros(self.flat, self.dtype)
        diff = top[0].diff.reshape(self.flat)
        for q in self.beliefs.data[::-1]:
            unaries_diff += diff
            diff = self._step_backward(q, diff)
        if propagate_down[0]:
            bottom[0].diff[...] = unaries_diff.reshape(bottom[0].shape)
        if propagate_down[1]:
            bottom[1].diff[...] = diff.reshape(bottom[1].shape)
        if propagate_down[2]:
            bottom[2].diff.fill(0)

    def _step_backward(self, q: Any, diff: Any) -> Any:
        """The gradient of the x that q is the softmax of; those of the matrices are added to their blobs."""
        assert self._spatial is not None
        matmul = self.xp.matmul
        filtered = self._filtered(q)
        message_diff = -matmul(self._matrix(COMPATIBILITY).T, diff)
        self._add(COMPATIBILITY, -diff, self._message(*filtered))
        for index, values in enumerate(filtered):
            self._add(index, message_diff, values)
        spatial_diff = matmul(self._matrix(SPATIAL).T, message_diff).reshape(-1, self.flat[2])
        q_diff = self._spatial.filter_backward(spatial_diff).reshape(self.flat)
        bilateral_diff = matmul(self._matrix(BILATERAL).T, message_diff)
        for n, lattice in enumerate(self._bilateral):
            q_diff[n] += lattice.filter_backward(bilateral_diff[n])
        return q * (q_diff - (q * q_diff).sum(axis=1, keepdims=True))

    def _add(self, index: int, left: Any, right: Any) -> None:
        """Add to a matrix' gradient the products of values at each pixel."""
        if self.param_propagate_down(index):
            self.blobs[index].diff[0, 0] += self.xp.matmul(left, right.transpose(0, 2, 1)).sum(axis=0)
