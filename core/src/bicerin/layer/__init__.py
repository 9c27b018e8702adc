"""What a layer is written with. `bicerin.layer.layer` tells the contract."""

from bicerin.layer.array_layer import ArrayLayer
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.counts import BlobCounts, Range, any_number, at_least, at_most, between
from bicerin.layer.filler import fill, fillers
from bicerin.layer.layer import Layer, layers
from bicerin.layer.loss_layer import LossLayer, normalization_mode, normalizer, top_gradient
from bicerin.layer.option import enum_name
from bicerin.layer.phase import TEST, TRAIN, Phase

__all__ = [
    "TEST",
    "TRAIN",
    "ArrayLayer",
    "Blob",
    "BlobCounts",
    "Context",
    "Layer",
    "LossLayer",
    "Phase",
    "Range",
    "any_number",
    "at_least",
    "at_most",
    "between",
    "enum_name",
    "fill",
    "fillers",
    "layers",
    "normalization_mode",
    "normalizer",
    "top_gradient",
]
