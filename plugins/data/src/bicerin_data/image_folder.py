"""A folder with a folder of images for each class: its classes, its images, and which of them are to validate with."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bicerin.errors import DataError, MissingDataError
from bicerin_proto import printable

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What the names of images end with, in small or capital letters."""

Lines = list[tuple[str, int]]
"""Paths of images, from their folder on, each with its label, as in a list file."""


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder.

    Attributes:
        path: the folder.
        labels: the names of the classes, sorted; the place of one is the label of its images.
        lines: the images, sorted by class and path.
    """

    path: Path
    labels: list[str]
    lines: Lines

    @property
    def word(self) -> str:
        """A name for nets and layers: the folder's own, of letters, digits and underscores."""
        return re.sub(r"\W+", "_", self.path.resolve().name).strip("_") or "images"

    def counts(self, lines: Lines) -> list[int]:
        """How many of these images each class has."""
        found = np.array([label for _, label in lines], int)
        counted: list[int] = np.bincount(found, minlength=len(self.labels)).tolist()
        return counted

    def split(self, part: float, seed: int, multiple_of: int = 1) -> tuple[Lines, Lines]:
        """The images to train on and those to validate with, each class in about the same part, in random order.

        Args:
            part: of each class's images that is to validate with, 0 to 1; where it is not 0, at least one image of
                a class is on either side, and an only one is trained on.
            seed: of the choice and of the order.
            multiple_of: take this many for validation, or twice as many, ...: what is over is trained on. Where there
                are fewer, it does not count.
        """
        random = np.random.default_rng(seed)
        training: Lines = []
        validation: Lines = []
        order = random.permutation(len(self.lines))
        of_class: list[list[int]] = [[] for _ in self.labels]
        for index in order.tolist():
            of_class[self.lines[index][1]].append(index)
        chosen: set[int] = set()
        for members in of_class:
            number = min(max(round(part * len(members)), 1), len(members) - 1) if part > 0 and members else 0
            chosen.update(members[:number])
        for index in order.tolist():
            (validation if index in chosen else training).append(self.lines[index])
        over = len(validation) % multiple_of if len(validation) > multiple_of else 0
        if over:
            training += validation[-over:]
            del validation[-over:]
            training = [training[index] for index in random.permutation(len(training)).tolist()]
        return training, validation


def read_image_folder(path: Path) -> ImageFolder:
    """The images in the folders of a folder, which are its classes. Folders in these may hold images too.

    Hidden files and folders, and files that are not named like images, are left out.

    Raises:
        MissingDataError: there is no such folder.
        DataError: it has no folders with images in them, or a name that a list cannot hold.
    """
    if not os.path.isdir(path):
        raise MissingDataError(f"there is no folder {printable(path)}.")
    labels: list[str] = []
    lines: Lines = []
    for folder in sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not _hidden(entry.name)):
        found = sorted(_images(path, folder))
        if found:
            lines += [(name, len(labels)) for name in found]
            labels.append(folder)
    _check_names([*labels, *(name for name, _ in lines)])
    if not lines:
        raise DataError(
            f"{printable(path)} has no folders with images in them.",
            f"Each class has a folder of its own in it, with files whose names end with {', '.join(SUFFIXES)}.",
        )
    return ImageFolder(path, labels, lines)


def _images(root: Path, folder: str) -> list[str]:
    found = []
    for where, folders, files in os.walk(root / folder, followlinks=True):
        folders[:] = [name for name in folders if not _hidden(name)]
        inside = os.path.relpath(where, root)
        found += [os.path.join(inside, name) for name in files if name.lower().endswith(SUFFIXES) and not _hidden(name)]
    return found


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if "".join(name.splitlines()) != name or name != name.strip() or not name.isprintable():
            raise DataError(
                f"the name {printable(name)!r} cannot stand in a list of images, which has a line for each.",
                "Rename it.",
            )
