"""A trained net made one for other classes: its last layer is renamed, so that it begins anew, and has their number.

What comes after the scores is left out, and so is what they do not need, such as GoogLeNet's other losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bicerin.errors import NetError
from bicerin_proto import Document, printable

#: Layers that learn their outputs, and where each one's number of outputs stands.
_LEARNS = {"InnerProduct": "inner_product_param", "Convolution": "convolution_param"}
#: What turns scores into probabilities, which training does in the loss.
_PROBABILITIES = ("Softmax", "Sigmoid")
#: How much faster than the others the new layer learns.
_FASTER = 10


class FineTuned(NamedTuple):
    """A net to fine-tune.

    Attributes:
        net: a NetParameter from the blob `input` to the blob `scores`.
        replaced: the name that the new layer had.
        layer: the name that it has.
    """

    net: Any
    input: str
    scores: str
    replaced: str
    layer: str


def fine_tuned_net(document: Document, image: str, classes: int, suffix: str, output: str | None = None) -> FineTuned:
    """The net for other classes.

    Args:
        document: a net to use, as `deploy_net` gives it; it stays as it is.
        image: the blob that images go into.
        classes: how many outputs the last layer shall have.
        suffix: what its name ends with from now on.
        output: the blob of the scores or probabilities; by default the net's only output.

    Raises:
        NetError: it has several outputs, or the scores do not come from a layer that learns them.
    """
    layers = list(document.message.layer)
    blob = output if output is not None else _only_output(document, layers)
    last = _maker(document, layers, blob)
    if last.type in _PROBABILITIES:
        blob = last.bottom[0]
        layers = layers[: _index(layers, last)]
        last = _maker(document, layers, blob)
    learning = last
    while learning.type not in _LEARNS:  # a ReLU or a Pooling after it, as in SqueezeNet
        if len(learning.bottom) != 1:
            raise NetError(
                f'{document.name}: "{printable(blob)}" comes from layer "{printable(learning.name)}" of the type '
                f"{learning.type}; the number of classes is that of an InnerProduct or Convolution."
            )
        layers_before = layers[: _index(layers, learning)]
        learning = _maker(document, layers_before, learning.bottom[0])
    needed = _needed(layers, blob)
    name = f"{learning.name}_{suffix}"
    if any(layer.name == name for layer in needed):
        raise NetError(f'{document.name} has a layer "{printable(name)}" already: it cannot be the new layer\'s name.')
    net = type(document.message)()
    for layer in needed:
        if layer.type == "Input":
            continue
        added = net.layer.add()
        added.CopyFrom(layer)
        if layer is learning:
            _renew(added, name, classes)
    return FineTuned(net, image, blob, learning.name, name)


def _renew(layer: Any, name: str, classes: int) -> None:
    """Make a layer begin anew for this number of classes: named anew, filled anew, and learning faster."""
    layer.name = name
    param = getattr(layer, _LEARNS[layer.type])
    param.num_output = classes
    if not param.HasField("weight_filler") or param.weight_filler.type == "constant":
        param.weight_filler.Clear()
        param.weight_filler.type = "gaussian"
        param.weight_filler.std = 0.01
    rates = [(spec.lr_mult or 1.0, spec.decay_mult) for spec in layer.param] or [(1.0, 1.0), (2.0, 0.0)]
    del layer.param[:]
    for lr_mult, decay_mult in rates[: 2 if param.bias_term else 1]:
        layer.param.add(lr_mult=_FASTER * lr_mult, decay_mult=decay_mult)


def _only_output(document: Document, layers: Sequence[Any]) -> str:
    unread: dict[str, None] = {}
    for layer in layers:
        for name in layer.bottom:
            unread.pop(name, None)
        unread |= dict.fromkeys(layer.top)
    if len(unread) != 1:
        names = ", ".join(map(printable, unread)) or "none"
        raise NetError(f"{document.name}: which blob has the scores? Its outputs: {names}. --output names it.")
    return next(iter(unread))


def _maker(document: Document, layers: Sequence[Any], blob: str) -> Any:
    """The last of the layers that writes a blob."""
    found = next((layer for layer in reversed(layers) if blob in layer.top), None)
    if found is None:
        raise NetError(f'{document.name}: no layer makes "{printable(blob)}".')
    return found


def _index(layers: Sequence[Any], wanted: Any) -> int:
    return next(index for index, layer in enumerate(layers) if layer is wanted)


def _needed(layers: Sequence[Any], blob: str) -> list[Any]:
    """The layers without which the blob would not be what it is, in their order."""
    needed, wanted = [], {blob}
    for layer in reversed(layers):
        if wanted & set(layer.top):
            needed.append(layer)
            wanted |= set(layer.bottom)
    return needed[::-1]
