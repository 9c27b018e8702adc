"""The text file that lists videos with their labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from bicerin.errors import DataError
from bicerin.layer.data_file import read_data_text
from bicerin_proto import printable

_LABELS = r"([+-]?\d+(?:,[+-]?\d+)*)"
_NUMBERED = re.compile(rf"(.*\S)\s+(\d+)\s+{_LABELS}")
_PLAIN = re.compile(rf"(.*\S)\s+{_LABELS}")


class Video(NamedTuple):
    """A line of the list.

    Attributes:
        path: of a folder of frames, or of a film.
        number: how many frames there are, or where a clip begins: as the layer says; 0 where the list has none.
        labels: one, or several.
    """

    path: str
    number: int
    labels: tuple[int, ...]


def read_video_list(path: Path, *, numbered: bool, several: bool) -> list[Video]:
    """The lines `path number label` of a text file, or `path label`; a path may have blanks in it.

    Args:
        numbered: whether there is the number.
        several: whether a line may have several labels, 3,5,9.

    Raises:
        MissingDataError: the file cannot be opened.
        DataError: it is empty or not text, or a line is not of that form.
    """
    text = read_data_text(path, "source")
    videos = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line:
            continue
        found = (_NUMBERED if numbered else _PLAIN).fullmatch(line)
        labels = tuple(map(int, found[found.re.groups].split(","))) if found else ()
        if found is None or (len(labels) > 1 and not several):
            form = f"path {'number ' if numbered else ''}{'labels' if several else 'label'}"
            raise DataError(
                f"source {printable(path)}, line {number}: {line[:200]!r} is not `{form}`.",
                "Numbers and labels are whole numbers" + (", labels with commas between them." if several else "."),
            )
        videos.append(Video(found[1], int(found[2]) if numbered else 0, labels))
    if not videos:
        raise DataError(f"source {printable(path)}: File is empty.")
    return videos
