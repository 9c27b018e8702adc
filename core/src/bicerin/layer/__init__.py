"""What a layer is written with. `bicerin.layer.layer` tells the contract."""

from bicerin.layer.abilities import (
    ActsAffinely,
    AddsAnother,
    ChecksInputs,
    Chooses,
    CountsProducts,
    Finishes,
    HasExample,
    IsSum,
    KeepsTops,
    LearnsAffinely,
    PutsSideBySide,
    ReadsTops,
    Repetition,
    Replays,
    RereadsBottoms,
    SharesInParallel,
    Spares,
    TakesTurns,
    TellsShapes,
    TopValues,
    TrainsTogether,
)
from bicerin.layer.axes import around, image_shape
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.counts import BlobCounts, Range, any_number, at_least, at_most, between
from bicerin.layer.engine import Engine, engines
from bicerin.layer.filler import fill, fillers
from bicerin.layer.layer import Layer, layers
from bicerin.layer.loss_layer import LossLayer, normalization_mode, normalizer, refuse_label_gradient
from bicerin.layer.neuron_layer import NeuronLayer
from bicerin.layer.operations import Operations
from bicerin.layer.option import enum_name
from bicerin.layer.phase import TEST, TRAIN, Phase

__all__ = [
    "TEST",
    "TRAIN",
    "ActsAffinely",
    "AddsAnother",
    "Blob",
    "BlobCounts",
    "ChecksInputs",
    "Chooses",
    "Context",
    "CountsProducts",
    "Engine",
    "Finishes",
    "HasExample",
    "IsSum",
    "KeepsTops",
    "Layer",
    "LearnsAffinely",
    "LossLayer",
    "NeuronLayer",
    "Operations",
    "Phase",
    "PutsSideBySide",
    "Range",
    "ReadsTops",
    "Repetition",
    "Replays",
    "RereadsBottoms",
    "SharesInParallel",
    "Spares",
    "TakesTurns",
    "TellsShapes",
    "TopValues",
    "TrainsTogether",
    "any_number",
    "around",
    "at_least",
    "at_most",
    "between",
    "engines",
    "enum_name",
    "fill",
    "fillers",
    "image_shape",
    "layers",
    "normalization_mode",
    "normalizer",
    "refuse_label_gradient",
]
