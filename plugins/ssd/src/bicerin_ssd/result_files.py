"""The files that detections are saved to, for the tools that score VOC, COCO and ILSVRC.

VOC     PREFIX CLASS.txt   image score xmin ymin xmax ymax
COCO    PREFIX.json        [{"image_id": ..., "category_id": ..., "bbox": [x, y, width, height], "score": ...}, ...]
ILSVRC  PREFIX.txt         image label score xmin ymin xmax ymax
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import DataError, LayerError
from bicerin_proto import atomic_write
from bicerin_ssd.boxes import in_pixels
from bicerin_ssd.label_map import read_label_map, read_name_sizes

_log = logging.getLogger("bicerin.ssd")


class ResultFiles:
    """Collects the detections of all test images, and writes them when the last one was given.

    Args:
        param: a `SaveOutputParameter`.
        resolve: finds the files that it names.
        classes: the labels that VOC has a file for each.

    Raises:
        DataError: a file that is named cannot be read.
        LayerError: the format is unknown, or there are more images to test than names.
    """

    def __init__(self, param: Any, resolve: Callable[[str], Path], classes: list[int]) -> None:
        if param.output_format not in ("VOC", "COCO", "ILSVRC"):
            raise LayerError(
                f'save_output_param: the output_format "{param.output_format}" is unknown.',
                'It is "VOC", "COCO" or "ILSVRC".',
            )
        self.format: str = param.output_format
        self.folder = Path(param.output_directory)
        self.prefix: str = param.output_name_prefix
        self.labels = read_label_map(resolve(param.label_map_file))
        self.images = read_name_sizes(resolve(param.name_size_file))
        self.number = param.num_test_image if param.HasField("num_test_image") else len(self.images)
        if not 0 < self.number <= len(self.images):
            raise LayerError(f"num_test_image is {self.number}, and {param.name_size_file} names {len(self.images)}.")
        self.resize = param.resize_param if param.HasField("resize_param") else None
        self.classes = classes
        self.folder.mkdir(parents=True, exist_ok=True)
        self._found: list[tuple[str, int, float, tuple[float, ...]]] = []
        self._done = 0

    def add(self, detections: np.ndarray) -> None:
        """Take one image's detections: rows of label, score, xmin, ymin, xmax, ymax.

        Raises:
            DataError: a label has no name.
        """
        name, image = self.images[self._done]
        unnamed = set(detections[:, 0].astype(int).tolist()) - set(self.labels)
        if unnamed:
            raise DataError(f"Cannot find label: {min(unnamed)} in the label map.")
        pixels, _ = in_pixels(detections[:, 2:], image, self.resize)
        corner, extent = pixels[:, :2], pixels[:, 2:] - pixels[:, :2]
        rounded = np.floor(np.hstack((corner, extent)).astype(np.float64) * 100 + 0.5) / 100
        self._found += [
            (name, int(label), float(score), tuple(box))
            for (label, score), box in zip(detections[:, :2].tolist(), rounded.tolist(), strict=True)
        ]
        self._done += 1
        if self._done == self.number:
            self._write()
            self._found.clear()
            self._done = 0

    def _write(self) -> None:
        if self.format == "VOC":
            for label in self.classes:
                name = self.labels.get(label, "")
                rows = [row for row in self._found if row[1] == label]
                self._save(f"{self.prefix}{name}.txt", "".join(f"{row[0]} {_scored(row)}\n" for row in rows))
        elif self.format == "ILSVRC":
            lines = "".join(f"{row[0]} {row[1]} {_scored(row)}\n" for row in self._found)
            self._save(f"{self.prefix}.txt", lines)
        else:
            entries = [
                {"image_id": _plain(name), "category_id": _plain(self.labels[label]), "bbox": box, "score": score}
                for name, label, score, box in self._found
            ]
            self._save(f"{self.prefix}.json", json.dumps(entries, indent=1) + "\n")
        _log.info("%d detections in %d images are saved in %s", len(self._found), self.number, self.folder)

    def _save(self, name: str, text: str) -> None:
        with atomic_write(self.folder / name) as file:
            file.write(text.encode())


def _scored(row: tuple[str, int, float, tuple[float, ...]]) -> str:
    """Score and corners in whole pixels."""
    x, y, width, height = (int(value) for value in row[3])
    return f"{row[2]:g} {x} {y} {x + width} {y + height}"


def _plain(text: str) -> int | str:
    """A name that is a number, as COCO's are, as that number."""
    return int(text) if text.isdecimal() else text
