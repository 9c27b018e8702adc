"""The folder in which ranks collect features: what is gone on with, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin.errors import DataError
from bicerin_data.extraction_parts import ExtractionParts, write_pass

FACTS = {"the blobs": "ip1, ip2"}


@pytest.fixture
def parts(tmp_path: Path) -> ExtractionParts:
    made = ExtractionParts(tmp_path / "out.parts", 2)
    made.open(FACTS)
    return made


def test_what_was_written_is_read_pass_by_pass(parts: ExtractionParts) -> None:
    passes = [[np.full((2, 3), n, np.float32), np.full((2, 1), -n, np.float32)] for n in range(3)]
    with open(parts.path(1), "wb") as file:
        for rows in passes:
            write_pass(file, rows)
    assert parts.missing(3) == [0, 2]
    for found, rows in zip(parts.read(1), passes, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(found, rows, strict=True))
    parts.open(FACTS)  # goes on
    parts.remove()
    assert parts.missing(3) == [0, 1, 2]


def test_another_extraction(parts: ExtractionParts) -> None:
    with pytest.raises(DataError, match="another extraction: the blobs was ip1, ip2 there, and is ip3 now"):
        parts.open({"the blobs": "ip3"})


@pytest.mark.parametrize("text", ["{", "[]", "7"])
def test_a_damaged_note(parts: ExtractionParts, text: str) -> None:
    (parts.path(0).parent / "extraction.json").write_text(text)
    with pytest.raises(DataError, match=r"extraction\.json is damaged"):
        parts.open(FACTS)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(DataError, match="holds something else"):
        ExtractionParts(tmp_path, 1).open(FACTS)


def test_a_range_that_ends_too_soon(parts: ExtractionParts) -> None:
    with open(parts.path(0), "wb") as file:
        write_pass(file, [np.zeros(3)])
    with pytest.raises(DataError, match="cannot be read"):
        list(parts.read(0))
