"""What AutoCrop layers are told once their net is built: where their bottoms lie to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bicerin import hookimpl

if TYPE_CHECKING:
    from bicerin import Net


@hookimpl
def bicerin_net_built(net: Net) -> None:
    """Align the AutoCrop layers of a net.

    Raises:
        LayerError: the bottoms of one cannot be aligned.
    """
    if not any(node.type == "AutoCrop" for node in net.nodes):
        return
    from bicerin.errors import LayerError
    from bicerin.spec.crop_alignment import alignments

    for index, offset in alignments([node.param for node in net.nodes], "AutoCrop").items():
        node = net.nodes[index]
        if offset is None:
            raise node.located(
                LayerError(
                    "its bottoms cannot be aligned: no layers with windows connect them, or a pixel of the second is "
                    "not a whole number of pixels, 0 or more, from the first pixel of the first.",
                    "Say where to cut: crop_param { offset: ... }.",
                )
            )
        node.layer.aligned = offset  # type: ignore[attr-defined]
        node.reshape()
