"""A folder of images made a folder to train in: stores, mean, nets and solver, with numbers for that many images.

labels.txt             the names of the classes, in the order of their labels
train_lmdb             the images to train on, resized, in random order
validation_lmdb        the images to validate with
mean.binaryproto       the mean of the images to train on
train_test.prototxt    the net, with its data layers and its loss
deploy.prototxt        the net to use: an Input layer and probabilities
solver.prototxt        how to train it
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format

from bicerin.errors import DataError, NetError
from bicerin.layer import Phase
from bicerin.net.outline import NetOutline, outline
from bicerin.schema.installed_schema import read_net
from bicerin_data.datum import datum_array
from bicerin_data.image_folder import ImageFolder, Lines
from bicerin_data.image_list import write_labels
from bicerin_data.image_record import SKIP_HINT, ImageRecord, image_records
from bicerin_data.mean_image import write_mean
from bicerin_data.starter_net import starter_net
from bicerin_data.stores import create_store
from bicerin_data.stores.unfinished import unfinished_folder
from bicerin_data.trained_net import Trained
from bicerin_proto import SolverParameter, TransformationParameter, atomic_write, printable

_log = logging.getLogger("bicerin.data")

#: Of a net that begins anew, values of about -1 to 1 are what its fillers are made for.
_SCALE = 1 / 128

_VALIDATION_BATCH = 50

Progress = Callable[[Lines, str], Iterable[tuple[str, int]]]


@dataclass
class Project:
    """What is to be made.

    Attributes:
        images: the classes and their files.
        shape: (C, H, W) of what the net reads.
        trained: the net to fine-tune; None begins anew, with a small one.
        part: of each class that validates.
        mirror: whether half of the images to train on are mirrored.
        seed: of the order of the images, and of the training.
        skipped: the images that could not be read, after `write`.
        counts: how many images train and validate, after `write`.
    """

    images: ImageFolder
    shape: tuple[int, int, int]
    trained: Trained | None = None
    part: float = 0.2
    mirror: bool = False
    seed: int = 1
    skip_bad_records: bool = False
    skipped: int = field(default=0, init=False)
    counts: tuple[int, int] = field(default=(0, 0), init=False)

    def write(self, path: Path, progress: Progress = lambda lines, what: lines) -> None:
        """Make the folder; it appears when it is complete.

        Args:
            progress: is given the images of a store and a description, and gives them back one by one.

        Raises:
            DataError: something of that name exists, an image cannot be read, or there are too few.
            NetError: the weights do not fit the net.
        """
        if os.path.exists(path):
            raise DataError(f"{printable(path)} exists already.", "Remove it, or choose another name.")
        if len(self.images.labels) < 2:
            raise DataError(
                f"{printable(self.images.path)} has images of one class, {printable(self.images.labels[0])}; "
                "there must be two or more."
            )
        training, validation = self.images.split(self.part, self.seed, _VALIDATION_BATCH)
        if not validation:
            raise DataError(f"{printable(self.images.path)} has no class with two images: one is to validate with.")
        with unfinished_folder(path) as folder:
            total, trained_on = self._store(folder / "train_lmdb", training, progress)
            _, validated_with = self._store(folder / "validation_lmdb", validation, progress)
            self.counts = trained_on, validated_with
            write_mean(total, trained_on, folder / "mean.binaryproto")
            write_labels(folder / "labels.txt", self.images.labels)
            train_test, deploy = self._nets()
            _write(folder / "train_test.prototxt", train_test, "The net to train: solver.prototxt says how.")
            _write(folder / "deploy.prototxt", deploy, _DEPLOY)
            _write(folder / "solver.prototxt", self._solver(path), _SOLVER)
            self._check(folder)

    def _store(self, path: Path, lines: Lines, progress: Progress) -> tuple[np.ndarray, int]:
        """Write the images of these lines; their sum (C, H, W) and number."""
        channels, height, width = self.shape
        record = ImageRecord(f"{self.images.path}{os.sep}", channels == 3, height, width)
        total, count = np.zeros(self.shape), 0
        with create_store(path, "lmdb") as writer:
            for (name, _), datum in zip(progress(lines, path.name), image_records(record, lines), strict=True):
                if isinstance(datum, DataError):
                    if not self.skip_bad_records:
                        raise DataError(datum.reason, datum.hint or SKIP_HINT) from datum
                    _log.warning("skipped: %s", datum)
                    self.skipped += 1
                    continue
                writer.put(f"{count:08d}_{name}".encode(), datum.SerializeToString())
                total += datum_array(datum)
                count += 1
            if not count:
                raise DataError(f"none of the {len(lines)} images for {path.name} can be read.")
        return total, count

    # Nets

    def _nets(self) -> tuple[Any, Any]:
        channels, height, width = self.shape
        if self.trained is not None:
            tuned = self.trained.tuned
            body, image, scores = tuned.net, tuned.input, tuned.scores
        else:
            body, image, scores = starter_net(height, width, len(self.images.labels)), "data", "scores"
        taken = {name for layer in body.layer for name in (*layer.top, *layer.bottom, layer.name)} | {image}
        label, accuracy, loss, prob = (_free(name, taken) for name in ("label", "accuracy", "loss", "prob"))
        train_test = type(body)(name=self.images.word)
        for phase, source in ((Phase.TRAIN, "train_lmdb"), (Phase.TEST, "validation_lmdb")):
            data = train_test.layer.add(name=image, type="Data", top=[image, label])
            data.include.add(phase=phase)
            self._set_transformation(data.transform_param)
            if self.mirror and phase is Phase.TRAIN:
                data.transform_param.mirror = True
            data.data_param.source = source
            data.data_param.backend = data.data_param.LMDB
            data.data_param.batch_size = self._batch_size if phase is Phase.TRAIN else self._validation_batch
        train_test.layer.extend(body.layer)
        tested = train_test.layer.add(name=accuracy, type="Accuracy", bottom=[scores, label], top=[accuracy])
        tested.include.add(phase=Phase.TEST)
        train_test.layer.add(name=loss, type="SoftmaxWithLoss", bottom=[scores, label], top=[loss])
        deploy = type(body)(name=train_test.name)
        entry = deploy.layer.add(name=image, type="Input", top=[image])
        entry.input_param.shape.add(dim=[1, channels, height, width])
        self._set_transformation(entry.transform_param)
        deploy.layer.extend(body.layer)
        deploy.layer.add(name=prob, type="Softmax", bottom=[scores], top=[prob])
        return train_test, deploy

    def _set_transformation(self, param: TransformationParameter) -> None:
        if self.trained is not None and len(self.trained.mean):
            param.mean_value.extend(self.trained.mean)
        else:
            param.mean_file = "mean.binaryproto"
        param.scale = self.trained.scale if self.trained is not None else _SCALE

    # Numbers

    @property
    def _batch_size(self) -> int:
        """A power of two from 8 on, so that an epoch has some eight batches or more."""
        most = 32 if self.trained is not None else 64
        return int(min(most, max(8, 2 ** math.floor(math.log2(max(1, self.counts[0] / 8))))))

    @property
    def _validation_batch(self) -> int:
        return min(_VALIDATION_BATCH, self.counts[1])

    def _solver(self, path: Path) -> Any:
        """A fixed number of epochs for few images, and fewer of them for many."""
        solver = SolverParameter(net="train_test.prototxt")
        epoch = self.counts[0] / self._batch_size
        if self.trained is not None:
            solver.weights.append(os.path.relpath(self.trained.weights, path))
            iterations = max(100, min(10 * epoch, max(2000, 3 * epoch)))
        else:
            iterations = max(300, min(30 * epoch, max(4000, 5 * epoch)))
        max_iter = 10 * math.ceil(iterations / 10)
        solver.test_iter.append(math.ceil(self.counts[1] / self._validation_batch))
        solver.test_interval = max_iter // 10
        solver.base_lr = 0.001 if self.trained is not None else 0.01
        solver.lr_policy = "step"
        solver.gamma = 0.1
        solver.stepsize = math.ceil(2 * max_iter / 3)
        solver.momentum = 0.9
        solver.weight_decay = 0.0005
        solver.max_iter = max_iter
        solver.display = max(1, max_iter // 20)
        solver.average_loss = solver.display
        solver.snapshot = max_iter // 2
        solver.random_seed = self.seed
        return solver

    def _check(self, folder: Path) -> None:
        """Raise a NetError where the net cannot be built, or the weights leave more of it empty than its new layer."""
        document = read_net(folder / "train_test.prototxt")
        for phase in (Phase.TRAIN, Phase.TEST):
            found: NetOutline = outline(document, phase)
            if found.errors:
                raise NetError(found.errors[0])
        if self.trained is None:
            return
        report, problems = found.compare_weights(self.trained.weights)
        if problems:
            raise NetError(problems[0])
        missing = [name for name in report.missing if name != self.trained.tuned.layer]
        if missing:
            raise NetError(
                f"{printable(self.trained.weights)} has no weights for: {', '.join(map(printable, missing))}."
            )


_DEPLOY = """The net to use. The transform_param of its Input layer does nothing in the net: it is where
`bicerin predict` and `bicerin_data.Preprocessor` find how images are prepared."""
_SOLVER = """Train with `bicerin train`. The files are named as seen from this folder. Weights are written beside
this file, as solver_iter_N.caffemodel."""


def _write(path: Path, message: Any, comment: str) -> None:
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    with atomic_write(path) as file:
        file.write((lines + text_format.MessageToString(message, as_utf8=True)).encode())


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
