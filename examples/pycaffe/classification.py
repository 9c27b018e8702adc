"""Classify digits with a trained LeNet: preprocessing, batches, and what the net holds inside.

python classification.py [lenet.prototxt lenet.caffemodel]
"""

import sys
from pathlib import Path

import numpy as np

import caffe

DIGITS = Path(__file__).parent.parent / "mnist" / "digits.npz"


def main():
    definition, weights = sys.argv[1:] or ("lenet.prototxt", "lenet.caffemodel")
    with np.load(DIGITS) as digits:
        images, labels = digits["images"][-500:], digits["labels"][-500:]

    caffe.set_mode_cpu()
    net = caffe.Net(definition, caffe.TEST, weights=weights)
    net.blobs["data"].reshape(1, 1, 28, 28)

    # Images as caffe.io.load_image(file, color=False) gives them: (H, W, 1), from 0 to 1.
    transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))

    image = images[0][:, :, np.newaxis] / 255
    net.blobs["data"].data[...] = transformer.preprocess("data", image)
    prob = net.forward()["prob"][0]
    print("the first digit is", labels[0])
    for digit in prob.argsort()[::-1][:3]:
        print(f"  {digit} with probability {prob[digit]:.3f}")

    print("activations:")
    for name, blob in net.blobs.items():
        print(f"  {name:8} {blob.data.shape}")
    print("weights and biases:")
    for name, (weight, bias) in net.params.items():
        print(f"  {name:8} {weight.data.shape} {bias.data.shape}")

    # Several at once: the blob takes the shape of the batch, and forward_all any number of batches.
    net.blobs["data"].reshape(50, 1, 28, 28)
    batch = np.stack([transformer.preprocess("data", image[:, :, np.newaxis] / 255) for image in images])
    found = net.forward_all(data=batch)["prob"].argmax(1)
    print(f"accuracy on {len(images)} digits: {(found == labels).mean():.3f}")


if __name__ == "__main__":
    main()
