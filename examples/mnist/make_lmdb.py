"""Write the digits into two LMDBs, as Caffe's data layer reads them: 8,500 to train on, 1,500 to test on.

python make_lmdb.py [FOLDER]
"""

import shutil
import sys
import tempfile
from pathlib import Path

import lmdb
import numpy as np

import bicerin_proto

HERE = Path(__file__).parent
TRAINING = 8_500


def write_lmdb(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write one record an image, keys `00000000`, `00000001`, ...

    A store appears under its name only when it is complete.

    Args:
        images: uint8, shape (N, 28, 28).
        labels: integers, shape (N,).
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        store = Path(temporary) / path.name
        with lmdb.open(str(store), map_size=1 << 28) as environment, environment.begin(write=True) as transaction:
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                datum = bicerin_proto.Datum(
                    channels=1, height=image.shape[0], width=image.shape[1], data=image.tobytes(), label=int(label)
                )
                transaction.put(f"{index:08d}".encode(), datum.SerializeToString())
        if path.exists():
            shutil.rmtree(path)
        store.rename(path)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(HERE / "digits.npz") as digits:
        images, labels = digits["images"], digits["labels"]
    for name, part in (("train_lmdb", slice(TRAINING)), ("test_lmdb", slice(TRAINING, None))):
        write_lmdb(folder / name, images[part], labels[part])
        print(f"{folder / name}: {len(labels[part])} digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
