"""The learnable blobs of a net: who owns each, who shares it, and their multipliers.

Source: Caffe's `ParamSpec` and `Net::AppendParam`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bicerin.errors import NetError, WeightsError
from bicerin.layer.blob import Blob
from bicerin.net.node import Node
from bicerin_proto.quotation import printable


@dataclass
class Parameter:
    """One learnable blob.

    Attributes:
        blob: the owner's.
        layer_name, index: the owner, and the blob's place in it.
        name: the `ParamSpec`'s name, by which others share it; empty for none.
        lr_mult, decay_mult: what the learning rate and the weight decay are multiplied with; None where not given.
        sharers: the other blobs that use its memory.
    """

    blob: Blob
    layer_name: str
    index: int
    name: str = ""
    lr_mult: float | None = None
    decay_mult: float | None = None
    sharers: int = 0


class Parameters:
    """All learnable blobs of a net, collected layer by layer."""

    def __init__(self) -> None:
        self.learnable: list[Parameter] = []
        self._by_name: dict[str, Parameter] = {}
        #: id of every layer's blob -> the parameter that it is or shares.
        self.of_blob: dict[int, Parameter] = {}

    def add_layer(self, node: Node) -> bool:
        """Take in a layer's blobs; True if one of them is to be learned.

        Raises:
            NetError: more ParamSpecs than blobs, or a shared blob that does not fit its owner.
        """
        specs = node.param.param
        if len(specs) > len(node.blobs):
            raise NetError(
                f'{node.location}: Too many params specified for layer "{printable(node.name)}" ({node.type}): '
                f"{len(specs)} for {len(node.blobs)} blob(s)."
            )
        learns = False
        for index, blob in enumerate(node.blobs):
            spec = specs[index] if index < len(specs) else None
            # A layer may have said already that it writes a blob itself.
            wanted = (spec is None or spec.lr_mult != 0) and node.layer.param_propagate_down(index)
            learns = learns or wanted
            node.layer.set_param_propagate_down(index, wanted)
            self._add(node, index, blob, spec)
        return learns

    def share(
        self, mine: Mapping[str, Sequence[Blob]], other: Parameters, others: Mapping[str, Sequence[Blob]]
    ) -> None:
        """Use another net's weights in place of these, for layers of the same names.

        Args:
            mine, others: layer name -> its learnable blobs, of these and of the other net.

        Raises:
            WeightsError: a layer's blobs differ in number or shape.
        """
        sources: dict[int, Blob] = {}
        for name, blobs in mine.items():
            theirs = others.get(name)
            if theirs is None:
                continue
            if [blob.shape for blob in blobs] != [blob.shape for blob in theirs]:
                raise WeightsError(
                    f'cannot share the weights of layer "{name}": shapes {[blob.shape for blob in theirs]} there, '
                    f"{[blob.shape for blob in blobs]} here."
                )
            for blob, source in zip(blobs, theirs, strict=True):
                sources.setdefault(id(self.of_blob[id(blob.blob)]), source)
        named = {parameter.name: parameter.blob for parameter in other.learnable if parameter.name}
        for blobs in mine.values():
            for blob in blobs:
                # A blob that shares its memory by a param's name goes with the others of that name.
                parameter = self.of_blob[id(blob.blob)]
                found = sources.get(id(parameter)) or named.get(parameter.name)
                if found is not None and found.count == blob.count:
                    blob.share_data(found)

    def _add(self, node: Node, index: int, blob: Blob, spec: Any) -> None:
        name = spec.name if spec is not None else ""
        lr_mult = spec.lr_mult if spec is not None and spec.HasField("lr_mult") else None
        decay_mult = spec.decay_mult if spec is not None and spec.HasField("decay_mult") else None
        if lr_mult is None and not node.layer.param_propagate_down(index):
            lr_mult = decay_mult = 0.0
        owner = self._by_name.get(name) if name else None
        if owner is None:
            parameter = Parameter(blob, node.name, index, name, lr_mult, decay_mult)
            blob.name = blob.name or f"{node.name}[{index}]"
            self.learnable.append(parameter)
            self.of_blob[id(blob)] = parameter
            if name:
                self._by_name[name] = parameter
            return
        self._check_shape(owner, node, blob, spec)
        for field, value in (("lr_mult", lr_mult), ("decay_mult", decay_mult)):
            if value is None:
                continue
            if getattr(owner, field) is None:
                setattr(owner, field, value)
            elif getattr(owner, field) != value:
                raise NetError(
                    f"{node.location}: Shared param '{name}' has mismatched {field}: {getattr(owner, field)} in layer "
                    f"'{owner.layer_name}', {value} in layer '{printable(node.name)}'."
                )
        blob.share_data(owner.blob)
        blob.share_diff(owner.blob)
        owner.sharers += 1
        self.of_blob[id(blob)] = owner

    @staticmethod
    def _check_shape(owner: Parameter, node: Node, blob: Blob, spec: Any) -> None:
        permissive = (
            spec.share_mode == spec.DESCRIPTOR.enum_types_by_name["DimCheckMode"].values_by_name["PERMISSIVE"].number
        )
        if permissive:
            fits, what = owner.blob.count == blob.count, "count"
        else:
            fits, what = owner.blob.shape == blob.shape, "shape"
        if not fits:
            raise NetError(
                f"{node.location}: Cannot share param '{spec.name}' owned by layer '{owner.layer_name}' with layer "
                f"'{printable(node.name)}'; {what} mismatch. Owner layer param shape is {owner.blob.shape}; "
                f"sharing layer expects {'count' if permissive else 'shape'} "
                f"{blob.count if permissive else blob.shape}."
            )
