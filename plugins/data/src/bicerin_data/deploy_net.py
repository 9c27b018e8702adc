"""The net to use that belongs to a net to train: data layers become an Input, losses become probabilities.

Layers that read labels are left out, with all that reads what they make; so Accuracy goes. A SoftmaxWithLoss becomes a
Softmax and a SigmoidCrossEntropyLoss a Sigmoid, of the same scores. The image's Input layer keeps the `transform_param`
of the data layer: it does nothing there, but `Preprocessor.of_net` finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import NetError
from bicerin.layer import Phase
from bicerin.net.outline import outline
from bicerin.net.rules import filter_layers, net_state
from bicerin_proto import Document, printable

#: Losses that make probabilities of scores before they compare them, and the layer that does that alone.
_PROBABILITIES = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
#: What they and that layer both have.
_KEPT = ("softmax_param",)


def deploy_net(
    document: Document,
    shape: Sequence[int] | None = None,
    *,
    level: int | None = None,
    stages: Sequence[str] | None = None,
) -> Document:
    """The net in phase TEST with an Input in the place of its data layer, and probabilities in that of its losses.

    Args:
        document: a net as `bicerin.schema.installed_schema.read_net` returns it; it stays as it is. One without data
            layers is returned.
        shape: (C, H, W) of the images; by default what the data layer says, or the data itself.
        level, stages: the rest of the net's state.

    Raises:
        NetError: several layers make images, or the shape is not known.
    """
    kept = _kept(document, level, stages)
    sources = _sources(kept)
    if not sources:
        return document
    image = _image_source(document, sources)
    if shape is None:
        shape = _image_shape(document, image, level, stages)
    net = type(document.message)()
    net.name = document.message.name
    entry = net.layer.add(name=image.name, type="Input", top=[image.top[0]])
    entry.input_param.shape.add(dim=[1, *shape])
    if image.HasField("transform_param"):
        entry.transform_param.CopyFrom(image.transform_param)
    gone = {top for source in sources for top in source.top} - {image.top[0]}
    for layer in kept:
        if layer in sources:
            continue
        reads_gone = gone & set(layer.bottom)
        if reads_gone and not (layer.type in _PROBABILITIES and layer.bottom and layer.bottom[0] not in gone):
            gone |= set(layer.top)
            continue
        gone -= set(layer.top)
        added = net.layer.add()
        if reads_gone:
            _set_probabilities(added, layer, net)
        else:
            added.CopyFrom(layer)
            added.ClearField("include")
            added.ClearField("exclude")
    return Document(net, document.path, name=document.name)


def _kept(document: Document, level: int | None, stages: Sequence[str] | None) -> list[Any]:
    net = type(document.message)()
    net.CopyFrom(document.message)
    state = net_state(net, Phase.TEST, level, stages)
    locations = [document.location(index) for index in range(len(net.layer))]
    return [document.message.layer[index] for index in filter_layers(net, state, locations)]


def _sources(kept: Sequence[Any]) -> list[Any]:
    """The layers that read data: they have no bottoms, and are none that a user fills or that holds weights."""
    return [layer for layer in kept if not layer.bottom and layer.top and layer.type not in ("Input", "Parameter")]


def _image_source(document: Document, sources: Sequence[Any]) -> Any:
    transformed = [layer for layer in sources if layer.HasField("transform_param")]
    found = transformed if len(transformed) == 1 else list(sources)
    if len(found) != 1:
        names = ", ".join(f'"{printable(layer.name)}"' for layer in found)
        raise NetError(f"{document.name}: {len(found)} layers read data ({names}); it is not known which reads images.")
    return found[0]


def _image_shape(document: Document, image: Any, level: int | None, stages: Sequence[str] | None) -> Sequence[int]:
    rows = outline(document, Phase.TEST, level=level, stages=stages).layers
    row = next(row for row in rows if row.name == image.name and row.type == image.type)
    shape = row.top_shapes[0] if row.top_shapes else None
    if shape is None or len(shape) != 4 or min(shape[1:]) < 1:
        raise NetError(
            f'{document.name}: the size of the images of layer "{printable(image.name)}" is not known. '
            f"{row.error or row.note}".rstrip()
            + " A net with an Input layer says it; --transform-of takes the rest from this one."
        )
    return shape[1:]


def _set_probabilities(added: Any, loss: Any, net: Any) -> None:
    taken = {top for layer in net.layer for top in layer.top}
    added.name = loss.name
    added.type = _PROBABILITIES[loss.type]
    added.bottom.append(loss.bottom[0])
    added.top.append("prob" if "prob" not in taken else f"{loss.name}/prob")
    for name in _KEPT:
        if added.DESCRIPTOR.fields_by_name.get(name) is not None and loss.HasField(name):
            getattr(added, name).CopyFrom(getattr(loss, name))
