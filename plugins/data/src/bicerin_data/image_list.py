"""The text file that lists images with their labels, for ImageData and `bicerin convert-imageset`."""

from __future__ import annotations

import re
from pathlib import Path

from bicerin.errors import DataError, MissingDataError


def read_image_list(path: Path) -> list[tuple[str, int]]:
    """The images and labels of a text file with a line "path label" for each; a path may have blanks in it.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is empty or not text.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"source {path} is not text.", "It has a line `path label` for each image.") from None
    except OSError as error:
        raise MissingDataError(f"source {path} cannot be opened: {error.strerror}") from None
    lines = []
    for line in text.splitlines():
        line = line.rstrip()
        if line:
            name, blank, label = line.rpartition(" ")
            # As C's atoi, which Caffe uses: what is no number counts 0.
            number = re.match(r"\s*[+-]?\d+", label)
            lines.append((name if blank else line, int(number.group()) if number else 0))
    if not lines:
        raise DataError(f"source {path}: File is empty.")
    return lines
