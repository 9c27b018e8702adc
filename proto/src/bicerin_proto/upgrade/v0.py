"""From the first format of layers to the second: `layers { layer { type: "conv" ... } bottom: ... top: ... }`.

A layer's options stood directly in it, whatever its type; now each type has a message of its own. Padding was a layer
and becomes the `pad` of the convolution or pooling that follows it.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from bicerin_proto import hints
from bicerin_proto.layer_types import V0_TYPES
from bicerin_proto.places import NetPlaces, error_at
from bicerin_proto.quotation import printable
from bicerin_proto.tokens import Place
from bicerin_proto.upgrade.counted import counted

_KEPT = ("name", "blobs", "blobs_lr", "weight_decay")
_TRANSFORMED = ("data", "images", "window_data")

_MOVES: dict[str, dict[str, str]] = {
    "num_output": {"conv": "convolution_param.num_output", "innerproduct": "inner_product_param.num_output"},
    "biasterm": {"conv": "convolution_param.bias_term", "innerproduct": "inner_product_param.bias_term"},
    "weight_filler": {"conv": "convolution_param.weight_filler", "innerproduct": "inner_product_param.weight_filler"},
    "bias_filler": {"conv": "convolution_param.bias_filler", "innerproduct": "inner_product_param.bias_filler"},
    "pad": {"conv": "convolution_param.pad", "pool": "pooling_param.pad"},
    "kernelsize": {"conv": "convolution_param.kernel_size", "pool": "pooling_param.kernel_size"},
    "group": {"conv": "convolution_param.group"},
    "stride": {"conv": "convolution_param.stride", "pool": "pooling_param.stride"},
    "pool": {"pool": "pooling_param.pool"},
    "dropout_ratio": {"dropout": "dropout_param.dropout_ratio"},
    "local_size": {"lrn": "lrn_param.local_size"},
    "alpha": {"lrn": "lrn_param.alpha"},
    "beta": {"lrn": "lrn_param.beta"},
    "k": {"lrn": "lrn_param.k"},
    "source": {
        "data": "data_param.source",
        "hdf5_data": "hdf5_data_param.source",
        "images": "image_data_param.source",
        "window_data": "window_data_param.source",
        "infogain_loss": "infogain_loss_param.source",
    },
    "scale": dict.fromkeys(_TRANSFORMED, "transform_param.scale"),
    "meanfile": dict.fromkeys(_TRANSFORMED, "transform_param.mean_file"),
    "cropsize": dict.fromkeys(_TRANSFORMED, "transform_param.crop_size"),
    "mirror": dict.fromkeys(_TRANSFORMED, "transform_param.mirror"),
    "batchsize": {
        "data": "data_param.batch_size",
        "hdf5_data": "hdf5_data_param.batch_size",
        "images": "image_data_param.batch_size",
        "window_data": "window_data_param.batch_size",
    },
    "rand_skip": {"data": "data_param.rand_skip", "images": "image_data_param.rand_skip"},
    "shuffle_images": {"images": "image_data_param.shuffle"},
    "new_height": {"images": "image_data_param.new_height"},
    "new_width": {"images": "image_data_param.new_width"},
    "concat_dim": {"concat": "concat_param.concat_dim"},
    "det_fg_threshold": {"window_data": "window_data_param.fg_threshold"},
    "det_bg_threshold": {"window_data": "window_data_param.bg_threshold"},
    "det_fg_fraction": {"window_data": "window_data_param.fg_fraction"},
    "det_context_pad": {"window_data": "window_data_param.context_pad"},
    "det_crop_mode": {"window_data": "window_data_param.crop_mode"},
    "hdf5_output_param": {"hdf5_output": "hdf5_output_param"},
}
"""Old field -> layer type -> where the value is now."""


def needs_upgrade(net: Any) -> bool:
    """Tell whether a net has layers in the first format."""
    return any(layer.HasField("layer") for layer in net.layers)


def upgrade(net: Any, places: NetPlaces) -> list[str]:
    """Rewrite such layers in the second format, in place. Return what was done.

    Raises:
        ProtoError: a type that the format does not have, or a padding layer that nothing can take over.
    """
    count = len(net.layers)
    folded = _fold_padding(net, places)
    ignored: list[str] = []
    for layer, place in zip(net.layers, places.layers, strict=True):
        if layer.HasField("layer"):
            ignored += _upgrade_layer(layer, place)
    done = [f"{counted(count, 'V0 layer')} to V1"]
    if folded:
        done.append(f"{counted(folded, 'padding layer')} to the pad of what follows")
    if ignored:
        done.append(f"without options that their layers never had: {', '.join(ignored)}")
    return done


def _fold_padding(net: Any, places: NetPlaces) -> int:
    producer: dict[str, Any] = {}
    padding: set[int] = set()
    for index, layer in enumerate(net.layers):
        for at, bottom in enumerate(layer.bottom):
            source = producer.get(bottom)
            if source is not None and source.layer.type == "padding":
                _check_padding(source, layer, places.layers[index])
                layer.layer.pad = source.layer.pad
                layer.bottom[at] = source.bottom[0]
        if layer.layer.type == "padding":
            padding.add(index)
        for top in layer.top:
            producer[top] = layer
    if padding:
        kept = [index for index in range(len(net.layers)) if index not in padding]
        layers = [type(net.layers[index])() for index in kept]
        for copy, index in zip(layers, kept, strict=True):
            copy.CopyFrom(net.layers[index])
        del net.layers[:]
        net.layers.extend(layers)
        places.layers = [places.layers[index] for index in kept]
    return len(padding)


def _check_padding(padding: Any, layer: Any, place: Place | None) -> None:
    what, name = f'padding layer "{printable(padding.layer.name)}"', printable(layer.layer.name)
    if layer.layer.type not in ("conv", "pool"):
        raise error_at(
            place,
            f'{what} is followed by layer "{name}" of type "{printable(layer.layer.type)}"; '
            'only a "conv" or "pool" can take its padding over',
        )
    if (len(layer.bottom), len(padding.bottom), len(padding.top)) != (1, 1, 1):
        raise error_at(place, f'{what} and layer "{name}" after it must have one bottom and one top each')


def _upgrade_layer(layer: Any, place: Place | None) -> list[str]:
    """Move the options of a layer to where they are now. Return those that belong nowhere."""
    old = type(layer.layer)()
    old.CopyFrom(layer.layer)
    layer.ClearField("layer")
    ignored = []
    for field, value in old.ListFields():
        if field.name == "type":
            layer.type = _v1_type(layer, old, place)
        elif field.name in _KEPT:
            _assign(layer, field.name, value)
        elif target := _MOVES.get(field.name, {}).get(old.type):
            _move(layer, old, field.name, value, target)
        else:
            ignored.append(f'{field.name} of layer "{printable(old.name)}" ({printable(old.type)})')
    return ignored


def _v1_type(layer: Any, old: Any, place: Place | None) -> int:
    if old.type not in V0_TYPES:
        hint = hints.did_you_mean(old.type, V0_TYPES)
        reason = f'layer "{printable(old.name)}": unknown V0 layer type "{printable(old.type)}". {hint}'
        raise error_at(place, reason.rstrip())
    number: int = type(layer).LayerType.Value(V0_TYPES[old.type])
    return number


def _move(layer: Any, old: Any, name: str, value: Any, target: str) -> None:
    *outer, leaf = target.split(".")
    message = layer
    for part in outer:
        message = getattr(message, part)
    if name == "pool":  # Enums are by number, and the two need not agree on numbers.
        value = message.PoolMethod.Value(old.PoolMethod.Name(value))
    _assign(message, leaf, value)


def _assign(message: Message, name: str, value: Any) -> None:
    current = getattr(message, name)
    if isinstance(current, Message):
        current.CopyFrom(value)
    elif hasattr(current, "extend"):
        current.extend(value if hasattr(value, "extend") else [value])
    else:
        setattr(message, name, value)
