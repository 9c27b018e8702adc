"""LabelSpecificRescale: each score times a weight, one for the own class and one for the others. Wang et al., NormFace.

y = w+ · x at the label, y = w- · x elsewhere. w+ is `positive_weight`, or in TRAIN where there is a
`positive_weight_base` that times (1 + gamma · pass)^-power, within positive_weight_min and positive_weight_max, as far
as they are given; passes are counted from `iteration` + 1 on, and are in snapshots. w- is `negative_weight`. At the
label, where w+ is not 1:

- `for_ip`: y = x unless x > 0;
- `bias_fix`: y = w+ · x + 1 - w+, so that 1 stays 1;
- `power_on_positive`: y = sign(x) · |x|^w+.

In TEST y = x, unless `rescale_test`.

Source: Wang et al., "NormFace", 2017; the LabelSpecificRescaleLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Operations, Phase, between, refuse_label_gradient
from bicerin_face.annealing import CountsPasses
from bicerin_face.labels import add_fault, check_labels, own_class, require_labels

#: Fields that the fork reads, or has, and does not use.
UNUSED = ("positive_lower_bound", "negative_upper_bound")


class LabelSpecificRescaleLayer(ChecksInputs, CountsPasses):
    """Bottom 0: scores, `(N, K)`. Bottom 1: labels, N of them. Tops: the shape of bottom 0; optional, w+, `(1,)`."""

    type = "LabelSpecificRescale"
    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=2, top=between(1, 2))

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.label_specific_rescale_param
        for name in UNUSED:
            if param.HasField(name):
                raise LayerError(f"{name} has no effect, in happynear's fork neither.", "Leave it out.")
        if not param.do_backward:
            raise LayerError("do_backward: false is not supported.", "Leave it out.")
        self.iteration = param.iteration
        self.anneals = param.HasField("positive_weight_base") and self.phase is Phase.TRAIN
        self.rescales = param.rescale_test or self.phase is Phase.TRAIN
        #: dy/dx of the last pass.
        self.slope = self.new_blob(name="slope")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0] is bottom[1]:
            raise LayerError(f"{self.type} Layer does not allow in-place computation on its labels.")
        self.rows = (bottom[0].count_between(0, 1), bottom[0].count_between(1))
        require_labels(bottom[1], self.rows[0])
        self.slope.reshape(*self.rows)
        if top[0] is not bottom[0]:
            top[0].reshape_like(bottom[0])
        if len(top) > 1:
            top[1].reshape(1)

    def _positive_weight(self) -> float:
        param = self.param.label_specific_rescale_param
        if not self.anneals:
            return float(param.positive_weight)
        self.iteration += 1
        weight: float = param.positive_weight_base * (1 + param.gamma * self.iteration) ** -param.power
        if param.HasField("positive_weight_min"):
            weight = max(weight, param.positive_weight_min)
        if param.HasField("positive_weight_max"):
            weight = min(weight, param.positive_weight_max)
        return weight

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weight = self._positive_weight()
        if len(top) > 1:
            top[1].data[...] = weight
        x, y = bottom[0].data.reshape(self.rows), top[0].data.reshape(self.rows)
        labels, fault = self.ops.class_labels(bottom[1].data, self.rows[1])
        if self.rescales:
            self._rescale(x, own_class(self.xp, labels, self.rows[1]), weight, y)
        elif top[0] is not bottom[0]:
            y[...] = x
        add_fault(y, fault)

    def _rescale(self, x: Any, own: Any, weight: float, y: Any) -> None:
        """Write y, which may be x, and the slope."""
        xp, param, slope = self.xp, self.param.label_specific_rescale_param, self.slope.data
        w = self.dtype.type(weight)
        slope[...] = xp.where(own, 1, self.dtype.type(param.negative_weight))
        changed = own & (x > 0) if param.for_ip else own
        if weight == 1:
            xp.multiply(x, slope, out=y)
        elif param.power_on_positive:
            size = xp.where(changed, xp.abs(x), 1)
            slope[...] = xp.where(changed, w * size ** (w - 1), slope)
            y[...] = xp.where(changed, xp.sign(x) * size**w, x * slope)
        else:
            slope[...] = xp.where(changed, w, slope)
            shift = changed * (1 - w) if param.bias_fix else 0
            y[...] = x * slope + shift

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0] and self.rescales:
            x_diff = bottom[0].diff.reshape(self.rows)
            self.xp.multiply(top[0].diff.reshape(self.rows), self.slope.data, out=x_diff)
        elif propagate_down[0] and top[0] is not bottom[0]:
            bottom[0].diff[...] = top[0].diff

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.rows[1])
