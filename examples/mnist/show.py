"""Show a few test digits and what a trained LeNet takes them for.

python show.py [WEIGHTS]
"""

import sys
from pathlib import Path

import numpy as np

import bicerin

HERE = Path(__file__).parent
SHADES = " .:-=+*#%@"
SHOWN = 5


def drawn(image: np.ndarray) -> list[str]:
    """An image of shape (28, 28) as lines of text; two rows of pixels are one line."""
    rows = image.reshape(14, 2, 28).mean(axis=1) / 256 * len(SHADES)
    return ["".join(SHADES[int(value)] for value in row) for row in rows]


def main(weights: Path) -> None:
    with np.load(HERE / "digits.npz") as digits:
        images, labels = digits["images"][8_500:], digits["labels"][8_500:]
    net = bicerin.Net(HERE / "lenet_train_test.prototxt", phase="TEST", weights=weights)
    net.run_forward(0, 1)
    # The scores, from the first layer after the data on, for digits of our own choice.
    chosen = np.linspace(0, len(labels) - 1, SHOWN, dtype=int)
    first = next(node.name for node in net.nodes if "data" in node.bottom_names)
    net.blobs["data"].reshape(SHOWN, 1, 28, 28)
    net.blobs["data"].data[...] = images[chosen, None] / 256
    scores = net.forward(start=first, end="ip2", blobs=["ip2"])["ip2"]
    print()
    for lines in zip(*(drawn(images[index]) for index in chosen), strict=True):
        print("  ".join(lines))
    captions = (
        f"predicted {guess}, is {labels[index]}" for guess, index in zip(scores.argmax(axis=1), chosen, strict=True)
    )
    print("  ".join(f"{caption:^28}" for caption in captions))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("lenet_iter_500.caffemodel"))
