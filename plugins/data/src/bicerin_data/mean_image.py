"""The mean of the images of a store, and the file that `mean_file` names."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

import bicerin_proto
from bicerin.errors import DataError
from bicerin_data.datum import datum_array, parse_datum
from bicerin_data.stores import Store

_log = logging.getLogger("bicerin.data")


def sum_of_images(store: Store, skip_bad_records: bool = False) -> tuple[np.ndarray, int, int]:
    """The sum of the images, float64 (C, H, W), their number, and that of the records left out.

    Raises:
        DataError: a record cannot be read or is of another size, and it is not to be left out; or there are none.
    """
    total, count, skipped = np.zeros(0), 0, 0
    for key, value in store.records():
        try:
            image = datum_array(parse_datum(value))
            if count and image.shape != total.shape:
                raise DataError(f"Incorrect data field size: it is {image.shape}, the first {total.shape}.")
        except DataError as error:
            named = DataError(f"{store.record_name(key)}: {error.reason}", error.hint)
            if not skip_bad_records:
                raise named from None
            _log.warning("skipped: %s", named)
            skipped += 1
            continue
        if not count:
            total = np.zeros(image.shape)
        total += image
        count += 1
        if count % 10000 == 0:
            _log.info("Processed %d files.", count)
    if not count:
        raise DataError(f"source {store.path}: it holds no {'good ' if skipped else ''}records.")
    return total, count, skipped


def write_mean(total: np.ndarray, count: int, path: Path) -> None:
    """Write the mean, float32 (1, C, H, W), of `count` images whose sum is `total`."""
    mean = (total.astype(np.float32) / np.float32(count))[None]
    bicerin_proto.write_binary(bicerin_proto.array_blob(mean), path)
