"""The text file that lists images with the images of their labels."""

from __future__ import annotations

from pathlib import Path

from bicerin.errors import DataError
from bicerin.layer.data_file import read_data_text
from bicerin_proto import printable

Pair = tuple[str, str]


def read_pair_list(path: Path, labels: bool = True) -> list[Pair]:
    """The lines "image label" of a text file; names have no blanks in them.

    Args:
        labels: whether each line must name a label; without, what is behind the image's name is left out.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is empty or not text, or a line has another number of names.
    """
    pairs = []
    for number, line in enumerate(read_data_text(path, "source").splitlines(), start=1):
        names = line.split()
        if not names:
            continue
        if labels and len(names) != 2:
            raise DataError(
                f"source {printable(path)}, line {number}: {line.strip()[:200]!r} is not an image and its label.",
                "Each line is `image label`, two names without blanks.",
            )
        pairs.append((names[0], names[1] if labels else ""))
    if not pairs:
        raise DataError(f"source {printable(path)}: File is empty.")
    return pairs
