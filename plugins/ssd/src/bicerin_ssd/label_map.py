"""Files beside a detector's data: the names of classes, and the names and sizes of test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bicerin.errors import DataError, ProtoError
from bicerin.layer.data_file import read_data_text
from bicerin.schema.installed_schema import schema
from bicerin_proto import parse_text


def read_label_map(path: Path) -> dict[int, str]:
    """The name of each class, from a `LabelMap` in text format.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is not a label map, or gives a label twice.
    """
    merged: Any = schema()
    message = merged.plugin_type("bicerin-ssd", "LabelMap")()
    text = read_data_text(path, "Failed to read label map file:")
    try:
        parse_text(text, message, merged, path=path)
    except ProtoError as error:
        raise DataError(f"Failed to read label map file: {error}") from error
    names: dict[int, str] = {}
    for item in message.item:
        if item.label in names:
            raise DataError(f"label map file {path}: there are duplicates of the label {item.label}.")
        names[item.label] = item.name
    return names


def read_name_sizes(path: Path) -> list[tuple[str, tuple[int, int]]]:
    """Each image's name with its height and width, from lines of `name height width`.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: a line is none of these.
    """
    lines = read_data_text(path, "Failed to open name size file:").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
            raise DataError(f'{path}:{number}: "{line}" is not "name height width".')
        found.append((parts[0], (int(parts[1]), int(parts[2]))))
    return found
