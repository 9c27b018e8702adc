"""Draw what the net does with a digit: the image, what its first convolution makes of it, and the probabilities.

python picture.py [IMAGE [PICTURE]]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bicerin
from bicerin_data import Preprocessor

HERE = Path(__file__).parent


def main(image: Path, picture: Path) -> None:
    net = bicerin.Net(HERE / "digits.prototxt", weights=HERE / "digits.caffemodel")
    net.forward(data=Preprocessor.of_net(net)(image))
    maps, probabilities = net.blobs["conv1"].data[0], net.blobs["prob"].data[0]

    figure = plt.figure(figsize=(9, 2.6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(2.2, 4.2, 3))
    axes = left.subplots()
    axes.imshow(net.blobs["data"].data[0, 0], cmap="gray")
    axes.set_title(image.name)
    middle.suptitle("conv1, after ReLU", fontsize="large")
    for one, values in zip(middle.subplots(2, 4).flat, maps, strict=True):
        one.imshow(values, cmap="viridis")
        one.set_axis_off()
    axes.set_axis_off()
    bars = right.subplots()
    numbers = np.arange(len(probabilities))
    bars.barh(numbers, probabilities, color=["C1" if p == probabilities.max() else "C0" for p in probabilities])
    bars.set(yticks=numbers, xlim=(0, 1), title="prob")
    bars.invert_yaxis()
    figure.savefig(picture, dpi=100, metadata={"Software": None})
    print(f"{image.name}: {probabilities.argmax()} ({probabilities.max():.3f})")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "nine.png",
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path("picture.png"),
    )
