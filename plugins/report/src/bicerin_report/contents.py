"""What a page is made of: nets, runs, weights and images, from the files that are named."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bicerin
from bicerin.cli.check import nets_in_their_phases
from bicerin.cli.net_or_solver import from_folders_above, in_folders_above, net_sources, read_net_or_solver
from bicerin.cli.training_log import read_log
from bicerin.errors import BicerinError, DataError, NetError, ProtoError
from bicerin.net import Net
from bicerin.net.outline import NetOutline, Shape, outline
from bicerin.solver.snapshot_files import SnapshotFiles, snapshot_files
from bicerin_proto import Document, is_hdf5, read_file
from bicerin_proto.quotation import printable
from bicerin_report.answers import read_class_names
from bicerin_report.batches import from_arrays, from_data_layers, from_files
from bicerin_report.images import images_of
from bicerin_report.net_graph import NetGraphs, times_of
from bicerin_report.runs import run_of
from bicerin_report.weights import weights_of

_log = logging.getLogger("bicerin.report")

Data = dict[str, Any]


@dataclass
class Contents:
    """What is to be on the page.

    Attributes:
        files: nets, solvers, logs; of nets and solvers one.
        weights: files of weights; of several, snapshots of one training, what changed is shown.
        follow: whether the weights that a solver's snapshots wrote last, at its `snapshot_prefix`, are among them.
        images: image files to run the net on.
        inputs: an .npz with an array for each input, in their place.
        samples: how many images of the net's own data are looked at; 0 for none.
        blobs: whose activations are shown.
        scores: the blob with the scores for the classes.
        labels: a file with the classes' names, one a line.
        timed: how many passes are measured; 0 for none.
        given: shapes of blobs that no file gives.
        run_python: whether the modules of Python layers are run, to ask for their shapes.
        level, stages, layer_providers, device: for the nets.
    """

    files: Sequence[str]
    weights: Sequence[str] = ()
    follow: bool = False
    images: Sequence[str] = ()
    inputs: str | None = None
    samples: int = 200
    blobs: Sequence[str] = ()
    scores: str | None = None
    labels: str | None = None
    timed: int = 0
    given: Mapping[str, Shape] = field(default_factory=dict)
    run_python: bool = True
    level: int | None = None
    stages: Sequence[str] = ()
    layer_providers: Mapping[str, str] | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        self._notes: list[str] = []
        self._logs: list[str] = []
        self._source: str | None = None
        for file in self.files:
            if is_log(file):
                self._logs.append(file)
            elif self._source is None:
                self._source = file
            else:
                raise BicerinError(
                    f"{printable(file)}: a report is of one net or solver, and {printable(self._source)} is one "
                    "already. Logs may be several."
                )
        if self._source is None and (self.weights or self.images or self.inputs):
            raise BicerinError("weights and images belong to a net: name its prototxt, or its solver's, too.")
        if self.timed and self._source is None:
            raise BicerinError("the layers to measure belong to a net: name its prototxt, or its solver's, too.")
        if self.images and self.inputs is not None:
            raise BicerinError("--image and --inputs both say what the net runs on: give one of them.")
        follows = self.follow and self._solver_param() is not None
        if (self.blobs or self.scores or self.labels) and not (self.weights or self.images or self.inputs or follows):
            raise BicerinError(
                "--blob, --scores and --labels say what is shown of a net that runs: give --weights, --image or "
                "--inputs too."
            )

    def runs(self) -> list[Data]:
        """The runs alone, read anew: what changes while a training goes on."""
        max_iter = self._solver_param().max_iter if self._solver_param() is not None else None
        runs = [run_of(Path(path), max_iter) for path in self._logs]
        names = [run["name"] for run in runs]
        for run in runs:
            if names.count(run["name"]) > 1:
                run["name"] = run["path"]
        return runs

    def data(self) -> Data:
        """Everything, as JSON values.

        Raises:
            BicerinError: a file cannot be read, or something that was asked for cannot be shown.
        """
        self._notes = []
        found: Data = {
            "title": " and ".join(map(str, self._logs)) or "report",
            "version": bicerin.__version__,
            "time": time.time(),
            "files": [*self.files, *self._weights()],
            "graph": None,
            "solver": None,
            "runs": self.runs(),
            "weights": None,
            "images": None,
        }
        if self._source is not None:
            found.update(self._of_nets())
        found["notes"] = self._notes
        return found

    def _solver_param(self) -> Any:
        if self._source is None:
            return None
        document, is_solver = self._read()
        return document.message if is_solver else None

    def _read(self) -> tuple[Document, bool]:
        assert self._source is not None
        return read_net_or_solver(self._source, self.layer_providers)

    def _of_nets(self) -> Data:
        document, is_solver = self._read()
        options: Data = {
            "level": self.level,
            "stages": self.stages or None,
            "given": self.given,
            "layer_providers": self.layer_providers,
            "without": () if self.run_python else ("Python",),
        }
        solver = None
        if is_solver:
            sources = net_sources(document, self.layer_providers, from_folders_above)
            documents = [sources.train_net(), *sources.test_nets()]
            pairs = [(one, outline(one, **options)) for one in documents]
            solver = {
                "file": document.name,
                "text": str(document.message)[:4000],
                "max_iter": document.message.max_iter,
            }
        else:
            pairs = [(document, one) for one in nets_in_their_phases(document, options)]
        graphs = NetGraphs(self.layer_providers)
        for one, shape in pairs:
            graphs.add(one, shape, self._times(one, shape))
        name = next((shape.name for _, shape in pairs if shape.name), "")
        found: Data = {"graph": graphs.data(), "solver": solver, "title": name or Path(str(self._source)).name}
        tested = next((pair for pair in reversed(pairs) if pair[1].phase == "TEST"), pairs[0])
        found["weights"] = weights = self._of_weights(tested[1])
        if weights is not None or self.images or self.inputs:
            found["images"] = self._images(tested[0], weights["file"] if weights is not None else None)
        return found

    def _of_weights(self, shape: NetOutline) -> Data | None:
        weights = self._weights()
        try:
            return weights_of(shape, weights) if weights else None
        except BicerinError as error:
            if weights == [*self.weights]:
                raise
            # Nobody has named it: it may be of an earlier net, or half written by a program that writes in place.
            self._note(f"the snapshot that was written last is not shown: {error}")
        return weights_of(shape, self.weights) if self.weights else None

    def _weights(self) -> list[str]:
        """The files of weights: those that were given and, where the solver is followed, what it wrote last."""
        given, newest = [*self.weights], self._newest()
        if newest is None or any(os.path.realpath(path) == os.path.realpath(newest) for path in given):
            return given
        return [*given, newest]

    def _newest(self) -> str | None:
        """The weights at the solver's prefix that were written last, looked for as the solver's nets are."""
        param = self._solver_param() if self.follow else None
        if param is None or not param.snapshot_prefix:
            return None
        folders = Path(str(self._source)).absolute().parents
        prefixes = [SnapshotFiles(param, folders[0]).prefix(), *(folder / param.snapshot_prefix for folder in folders)]
        found = next(filter(None, (snapshot_files(prefix, "caffemodel") for prefix in prefixes)), None)
        return str(max(found, key=lambda one: (one.written, one.iteration)).path) if found else None

    @property
    def _net_options(self) -> Data:
        return {
            "device": self.device,
            "level": self.level,
            "stages": self.stages,
            "layer_providers": self.layer_providers,
        }

    def _times(self, document: Document, shape: NetOutline) -> Data | None:
        if not self.timed:
            return None
        measured, why = times_of(document, shape.phase, self.timed, **self._net_options)
        if measured is None:
            self._note(f"the net in phase {shape.phase} was not timed: {why}")
        return measured

    def _images(self, document: Document, weights: str | None) -> Data | None:
        if weights is None:
            self._note("no --weights: the images went through random weights, from the net's fillers")
        names = read_class_names(self.labels) if self.labels is not None else None
        options: Data = {"blobs": self.blobs, "scores": self.scores, "class_names": names}
        if self.images:
            return self._of_files(document, weights, options)
        if self.inputs is not None:
            with Net(document, "TEST", weights, **self._net_options) as net:
                return images_of(net, from_arrays(net, self.inputs, self.samples), source=self.inputs, **options)
        if not self.samples:
            return None
        try:
            net = Net(document, "TEST", weights, **self._net_options)
            if net.inputs:
                return None  # nothing was given to look at
        except (DataError, NetError) as error:
            self._note(f"no images: the net does not run: {error}")
            return None
        with net:
            source = ", ".join(f"{node.name} ({node.type})" for node in net.nodes if not node.bottom and node.top)
            return images_of(net, from_data_layers(net, self.samples), source=source, **options)

    def _of_files(self, document: Document, weights: str | None, options: Data) -> Data:
        try:
            from bicerin_data.classifier import Classifier
        except ImportError as error:
            raise BicerinError("image files are read by bicerin-data: pip install bicerin-data") from error
        classifier = Classifier(document, weights, **self._net_options)
        with classifier.net as net:
            batches = from_files(net, classifier.preprocessor, classifier.input, self.images)
            names = [Path(path).name for path in self.images]
            return images_of(net, batches, source="image files", names=names, **options)

    def _note(self, text: str) -> None:
        _log.warning("%s", text)
        self._notes.append(text)

    def stamp(self, logs: bool = True) -> tuple[Any, ...]:
        """What changes when one of the files does; of all, or of those that are no logs."""
        files = [file for file in self.files if logs or file not in self._logs]
        files += [*self.images, *filter(None, (self.inputs, self.labels))]
        with contextlib.suppress(BicerinError):  # of a solver that cannot be read at the moment
            files += [*self._weights(), *map(str, self._nets_of_solver())]
        found = []
        for file in files:
            try:
                status = os.stat(file)
                found.append((file, status.st_mtime_ns, status.st_size))
            except OSError:
                found.append((file, 0, 0))
        return tuple(found)

    def _nets_of_solver(self) -> list[Path]:
        if self._source is None:
            return []
        document, is_solver = self._read()
        return net_sources(document, self.layer_providers, in_folders_above).files() if is_solver else []


def is_log(path: str) -> bool:
    """Whether a file is a training log, and not a net or a solver.

    Raises:
        BicerinError: it cannot be read, or is none of these.
    """
    if is_hdf5(path) or Path(path).suffix in (".caffemodel", ".solverstate"):
        raise BicerinError(f"{printable(path)}: weights are given with --weights.")
    text = read_file(path)
    if not text.strip():
        raise BicerinError(f"{printable(path)}: the file is empty: it is neither a net, nor a solver, nor a log yet.")
    try:
        read_net_or_solver(path)
    except ProtoError as error:  # a log with zeros in it, as crashes leave them, looks like a binary file
        try:
            read_log(Path(path))
        except DataError:
            if text.startswith(b"{") or b"] Iteration" in text:
                raise
            raise error from None
        return True
    return False
