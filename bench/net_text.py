"""Nets as prototxt, layer by layer."""

from __future__ import annotations


class Text:
    """Collects layers; each method adds one and returns its top's name.

    Args:
        name: the net's.
        shape: of its input `data`, `(N, C, H, W)`.
        train: whether it has losses, and the input `label`, `(N,)`.
    """

    def __init__(self, name: str, shape: tuple[int, int, int, int], train: bool) -> None:
        self.train = train
        self.lines = [f'name: "{name}"']
        shapes = [("data", " ".join(f"dim: {size}" for size in shape))]
        shapes += [("label", f"dim: {shape[0]}")] if train else []
        for top, dims in shapes:
            self.lines.append(
                f'layer {{ name: "{top}" type: "Input" top: "{top}" input_param {{ shape {{ {dims} }} }} }}'
            )

    def layer(self, kind: str, name: str, bottoms: str | list[str], param: str = "", top: str | None = None) -> str:
        bottoms = [bottoms] if isinstance(bottoms, str) else bottoms
        reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        top = name if top is None else top
        self.lines.append(f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{top}" {param} }}')
        return top

    def relu(self, bottom: str, kind: str = "ReLU") -> str:
        return self.layer(kind, f"relu_{bottom}", bottom, top=bottom)

    def conv(self, name: str, bottom: str, outputs: int, size: int, relu: bool = True, **options: int) -> str:
        self.layer(
            "Convolution",
            name,
            bottom,
            f"param {{ lr_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }} convolution_param {{ num_output: {outputs} "
            f'{_sizes(size, options)} weight_filler {{ type: "xavier" }} bias_filler {{ value: 0.1 }} }}',
        )
        return self.relu(name) if relu else name

    def pool(self, name: str, bottom: str, size: int, stride: int, kind: str = "MAX", pad: int = 0) -> str:
        param = f"pooling_param {{ pool: {kind} kernel_size: {size} stride: {stride} pad: {pad} }}"
        return self.layer("Pooling", name, bottom, param)

    def lrn(self, name: str, bottom: str) -> str:
        return self.layer("LRN", name, bottom, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")

    def fc(self, name: str, bottom: str, outputs: int) -> str:
        return self.layer(
            "InnerProduct",
            name,
            bottom,
            f"param {{ lr_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }} inner_product_param {{ "
            f'num_output: {outputs} weight_filler {{ type: "xavier" }} }}',
        )

    def norm(self, bottom: str, relu: bool = True, top: str | None = None, kind: str = "ReLU") -> str:
        """BatchNorm, Scale and perhaps an activation: in place, or from `bottom` to `top`."""
        top = bottom if top is None else top
        self.layer("BatchNorm", f"bn_{top}", bottom, top=top)
        self.layer("Scale", f"scale_{top}", top, "scale_param { bias_term: true }", top=top)
        return self.layer(kind, f"relu_{top}", top, top=top) if relu else top

    def plain_conv(self, name: str, bottom: str, outputs: int, size: int, **options: int) -> str:
        """A convolution without bias, to be normalized."""
        param = f'num_output: {outputs} {_sizes(size, options)} bias_term: false weight_filler {{ type: "msra" }}'
        return self.layer("Convolution", name, bottom, f"convolution_param {{ {param} }}")

    def conv_norm(
        self, name: str, bottom: str, outputs: int, size: int, relu: str | None = "ReLU", **options: int
    ) -> str:
        """A convolution without bias, normalized; `relu` names the activation's type."""
        return self.norm(self.plain_conv(name, bottom, outputs, size, **options), relu is not None, kind=relu or "")

    def add(self, name: str, *bottoms: str) -> str:
        return self.layer("Eltwise", name, list(bottoms))

    def average(self, name: str, bottom: str) -> str:
        return self.layer("Pooling", name, bottom, "pooling_param { pool: AVE global_pooling: true }")

    def concat(self, name: str, bottoms: list[str], axis: int = 1) -> str:
        return self.layer("Concat", name, bottoms, f"concat_param {{ axis: {axis} }}" if axis != 1 else "")

    def dropout(self, bottom: str, ratio: float) -> str:
        return self.layer(
            "Dropout", f"drop_{bottom}", bottom, f"dropout_param {{ dropout_ratio: {ratio} }}", top=bottom
        )

    def end(self, score: str, name: str = "loss", weight: float = 1.0) -> None:
        if self.train:
            self.layer("SoftmaxWithLoss", name, [score, "label"], f"loss_weight: {weight}")
        else:
            self.layer("Softmax", "prob", score)

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


def _sizes(size: int, options: dict[str, int]) -> str:
    """The fields of a convolution: a size of 0 is given by `kernel_h` and `kernel_w`."""
    fields = {"kernel_size": size} if size else {}
    return " ".join(f"{key}: {value}" for key, value in {**fields, **options}.items())
