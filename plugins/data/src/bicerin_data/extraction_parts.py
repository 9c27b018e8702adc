"""The folder in which an extraction by several ranks collects its features: what was interrupted goes on there.

extraction.json    the facts about the extraction
00000000.npy, ...  of each range of passes, the rows of each blob, pass by pass: arrays one after the other
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from bicerin.errors import DataError
from bicerin_proto import atomic_write
from bicerin_proto.atomic import temporary_path
from bicerin_proto.quotation import printable, system_reason


class ExtractionParts:
    """The folder.

    Args:
        folder: it need not be there.
        blobs: how many arrays a pass has.
    """

    def __init__(self, folder: Path, blobs: int) -> None:
        self.folder = folder
        self._blobs = blobs

    def open(self, facts: Mapping[str, str]) -> None:
        """Make the folder, or go on in the one that is there.

        Raises:
            DataError: it cannot be used, or holds something else than parts of an extraction with these facts.
        """
        note = self.folder / "extraction.json"
        try:
            self.folder.mkdir(exist_ok=True)
            there = json.loads(note.read_text()) if note.exists() else None
            if there is not None and not isinstance(there, dict):
                raise ValueError("it holds no facts")
            if there is None and next(self.folder.iterdir(), None) is not None:
                raise DataError(
                    f"{printable(self.folder)} holds something else than the parts of an extraction: remove it."
                )
            if there is None:
                with atomic_write(note) as file:
                    file.write(json.dumps(facts, indent=1).encode())
        except ValueError as error:
            raise DataError(f"{printable(note)} is damaged: {error}. Remove the folder to begin anew.") from None
        except OSError as error:
            raise DataError(f"{printable(self.folder)} cannot be used: {system_reason(error)}.") from None
        if there is not None and there != facts:
            name = next((name for name in facts if there.get(name) != facts[name]), "the number of facts")
            before, now = (printable(str(one.get(name)), 100) for one in (there, facts))
            raise DataError(
                f"{printable(self.folder)} holds the parts of another extraction: {name} was {before} there, and is "
                f"{now} now. Remove it to begin anew."
            )

    def path(self, number: int) -> Path:
        """The file of a range."""
        return self.folder / f"{number:08d}.npy"

    def missing(self, count: int) -> list[int]:
        """Which of so many ranges are not there yet."""
        return [number for number in range(count) if not self.path(number).exists()]

    def read(self, number: int) -> Iterator[list[np.ndarray]]:
        """The rows of each blob, for each pass of a range.

        Raises:
            DataError: the file cannot be read.
        """
        path = self.path(number)
        try:
            with open(path, "rb") as file:
                while file.peek(1):
                    yield [np.load(file, allow_pickle=False) for _ in range(self._blobs)]
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{printable(path)} cannot be read: {error}. Remove it, and run the command again."
            ) from None

    def remove(self) -> None:
        """Remove the folder, as far as that can be done. It loses its name at once, so that nothing goes on there."""
        doomed = temporary_path(self.folder)
        try:
            os.rename(self.folder, doomed)
        except OSError:
            doomed = self.folder
        shutil.rmtree(doomed, ignore_errors=True)


def write_pass(file: IO[bytes], rows: Sequence[np.ndarray]) -> None:
    """Write the rows of each blob of a pass to the file of its range."""
    for array in rows:
        np.save(file, array, allow_pickle=False)
