"""Image files made records of a store, several at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bicerin.errors import DataError
from bicerin.kernels import num_threads
from bicerin.layer.data_file import read_data
from bicerin_data.datum import array_datum
from bicerin_data.image import decode_image, encode_image, read_image

#: How many images are decoded at a time, in several threads.
_TOGETHER = 64

SKIP_HINT = "With --skip-bad-records images that cannot be read are left out, and counted."


@dataclass(frozen=True)
class ImageRecord:
    """Makes the Datum of an image.

    Args:
        root_folder: what is put before each path.
        color: whether images are read as colour, blue first, or as gray.
        height, width: what they are resized to; 0 leaves them as they are.
        encoded: whether the records hold image files, and not pixels.
        encode_type: their format, as the end of a file's name; the file's own where it is empty.
    """

    root_folder: str
    color: bool
    height: int = 0
    width: int = 0
    encoded: bool = False
    encode_type: str = ""

    def __call__(self, line: tuple[str, int]) -> Any:
        """A Datum, or the `DataError` that kept it from being, of a path and a label."""
        path, label = self.root_folder + line[0], line[1]
        try:
            image = read_image(path, self.color, self.height, self.width)
            datum = array_datum(image, label)
            if self.encoded:
                datum.data = self._file(path, image)
                datum.encoded = True
            return datum
        except DataError as error:
            return error

    def _file(self, path: str, image: Any) -> bytes:
        """The bytes of the image's file; as it is where that is what is asked for, else encoded anew."""
        extension = os.path.splitext(path)[1][1:].lower()
        wanted = self.encode_type.lower() or extension
        if not self.height and {"jpg": "jpeg"}.get(wanted, wanted) == {"jpg": "jpeg"}.get(extension, extension):
            data = read_data(path, "Could not open or find file")
            if len(decode_image(data)) == len(image):
                return data
        return encode_image(image, wanted)


def image_records(record: ImageRecord, lines: Sequence[tuple[str, int]]) -> Iterator[Any]:
    """`record` of each line, in order. OpenCV works without Python's lock."""
    rest: Iterable[tuple[str, int]] = iter(lines)
    with ThreadPoolExecutor(max_workers=num_threads()) as pool:
        while some := list(islice(rest, _TOGETHER)):
            yield from pool.map(record, some)
