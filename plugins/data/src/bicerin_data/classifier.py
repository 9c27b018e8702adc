"""A trained net that takes images and says what they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bicerin.errors import DataError, NetError
from bicerin.layer.data_file import read_data_text
from bicerin.net import Net
from bicerin.schema.installed_schema import read_net
from bicerin_data.deploy_net import deploy_net
from bicerin_data.preprocessor import Image, Preprocessor, image_input
from bicerin_proto import Document, printable


class Prediction(NamedTuple):
    """A class that an image may be of, its score (a probability, after a Softmax), and its number, from 0."""

    label: str
    score: float
    number: int


class Classifier:
    """A net in phase TEST that gives each image a score for each class.

    Args:
        net: a `Net` in phase TEST, or what one is made from. Of a net to train, whose data layers name images with
            labels, the net to use is made: see `bicerin_data.deploy_net`.
        weights: the files of weights; not with a `Net`, which has its own.
        labels: the names of the classes, or a text file with one a line. By default their numbers.
        preprocessor: how images are made the net's input; by default as the net's `transform_param` says.
        output: the blob of the scores; by default the net's only output.
        options: for the `Net`: device, layer_providers, ...

    Attributes:
        net, preprocessor, input, output: the last two are the names of blobs.
        labels: the names of the classes, one for each score; empty where none are given.

    Raises:
        NetError: it is not clear which blob holds the images or the scores, or there are more or fewer labels.
        BicerinError: the net, the weights or the labels cannot be read.
    """

    def __init__(
        self,
        net: Any,
        weights: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
        *,
        labels: Sequence[str] | str | PathLike[str] | None = None,
        preprocessor: Preprocessor | None = None,
        output: str | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(net, Net):
            document = net if isinstance(net, Document) else read_net(net, options.get("layer_providers"))
            document = deploy_net(document, level=options.get("level"), stages=options.get("stages"))
            net = Net(document, "TEST", weights, **options)
        elif weights is not None or options:
            raise NetError("weights and options belong to the Net that was given: give them when it is made.")
        self.net: Net = net
        self.input = image_input(self.net)
        self.preprocessor = preprocessor or Preprocessor.of_net(self.net)
        self.output = self._output(output)
        self.labels = read_labels(labels) if isinstance(labels, (str, PathLike)) else list(labels or ())
        classes = self._classes(self.net.blob(self.output).shape)
        if self.labels and len(self.labels) != classes:
            raise NetError(f'"{self.output}" has {classes} scores an image, and there are {len(self.labels)} labels.')

    def __repr__(self) -> str:
        return f"Classifier({self.net!r}, {self.preprocessor!r}, output={self.output!r}, {len(self.labels)} labels)"

    def __call__(self, image: Image, top: int = 5) -> list[Prediction]:
        """The `top` classes of one image with the highest scores, the highest first; of all where there are fewer.

        Raises:
            DataError: the image cannot be read, or it is several.
            NetError: `top` is less than 1.
        """
        if isinstance(image, (list, tuple)):
            raise DataError("a classifier is called with one image; its predict takes several.")
        return self.predict([image], top)[0]

    def predict(self, images: Sequence[Image], top: int = 5, batch_size: int = 32) -> list[list[Prediction]]:
        """As for one image, for each of several, which run `batch_size` at a time."""
        return list(self.predictions(images, top, batch_size))

    def predictions(self, images: Sequence[Image], top: int = 5, batch_size: int = 32) -> Iterator[list[Prediction]]:
        """As `predict`, one after the other as they are computed."""
        for name, number in (("top", top), ("batch_size", batch_size)):
            if number < 1:
                raise NetError(f"{name}={number}: it must be 1 or more.")
        for first in range(0, len(images), batch_size):
            for scores in self.scores(images[first : first + batch_size]):
                best = np.argsort(-scores, kind="stable")[:top]
                yield [Prediction(self.label(int(number)), float(scores[number]), int(number)) for number in best]

    def scores(self, images: Sequence[Image]) -> np.ndarray:
        """The net's scores, (number of images, number of classes); all images run at once.

        Raises:
            DataError: one of the images cannot be read.
        """
        prepared = self.preprocessor(images)
        with self.net.lock:
            self.net.forward({self.input: prepared})
            scores = self.net.blob(self.output).read_only.data.copy()
        return scores.reshape(len(images), self._classes(scores.shape))

    def label(self, number: int) -> str:
        """What class `number` is called: its number, where no labels are given."""
        return self.labels[number] if self.labels else str(number)

    def _output(self, name: str | None) -> str:
        if name is not None:
            self.net.blob(name)
            return name
        if len(self.net.outputs) != 1:
            raise NetError(f"which output has the scores? The net has: {', '.join(self.net.outputs) or 'none'}.")
        return self.net.outputs[0]

    def _classes(self, shape: tuple[int, ...]) -> int:
        if len(shape) < 2 or any(size != 1 for size in shape[2:]):
            raise NetError(
                f'"{self.output}" has the shape {shape}; the scores for the classes are (N, number of classes).'
            )
        return shape[1]


def read_labels(path: str | PathLike[str]) -> list[str]:
    """The names of classes, one a line, such as `synset_words.txt`; empty lines at the end do not count.

    Raises:
        MissingDataError: there is no such file.
        DataError: it is no text.
        NetError: there is an empty line before the last name, or none at all.
    """
    lines = [line.strip() for line in read_data_text(Path(path), "labels").rstrip().splitlines()]
    if not all(lines) or not lines:
        where = f", line {lines.index('') + 1}: the line is empty" if lines else ": the file is empty"
        raise NetError(f"labels {printable(path)}{where}. Each line names a class.")
    return lines
