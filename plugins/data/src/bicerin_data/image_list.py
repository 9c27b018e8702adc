"""The text file that lists images with their labels, for ImageData and `bicerin convert-imageset`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bicerin.errors import DataError
from bicerin.layer.data_file import read_data_text
from bicerin_proto import atomic_write, printable

_LINE = re.compile(r"(.*\S)\s+([+-]?\d+)")


def read_image_list(path: Path) -> list[tuple[str, int]]:
    """The images and labels of a text file with a line "path label" for each; a path may have blanks in it.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is empty or not text, or a line does not end with a whole number.
    """
    text = read_data_text(path, "source")
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise DataError(
                f"source {printable(path)}, line {number}: {line[:200]!r} does not end with a label.",
                "Each line is `path label`, and a label is a whole number.",
            )
        lines.append((found[1], int(found[2])))
    if not lines:
        raise DataError(f"source {printable(path)}: File is empty.")
    return lines


def write_image_list(path: Path, lines: Sequence[tuple[str, int]]) -> None:
    """Write a line "path label" for each image, in one piece or not at all.

    Raises:
        ProtoError: the file cannot be written.
    """
    with atomic_write(path) as file:
        file.write("".join(f"{name} {label}\n" for name, label in lines).encode())


def write_labels(path: Path, labels: Sequence[str]) -> None:
    """Write the names of classes, one a line, in one piece or not at all.

    Raises:
        ProtoError: the file cannot be written.
    """
    with atomic_write(path) as file:
        file.write("".join(f"{label}\n" for label in labels).encode())
