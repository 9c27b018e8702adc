"""Make a trained LeNet fully convolutional, so that it reads images of any size.

    python net_surgery.py [lenet.prototxt lenet.caffemodel] [--folder FOLDER]

An inner product over (50, 4, 4) is a convolution with kernels of 4 x 4, and its weights are the same numbers in the
same order. Writes lenet_full_conv.prototxt and lenet_full_conv.caffemodel into the folder.
"""

import argparse
from pathlib import Path

import numpy as np
from google.protobuf import text_format

import caffe
from caffe.proto import caffe_pb2

DIGITS = Path(__file__).parent.parent / "mnist" / "digits.npz"


def fully_convolutional(definition):
    """The net with a convolution in the place of each inner product, and the names of both."""
    net = text_format.Parse(Path(definition).read_text(), caffe_pb2.NetParameter())
    renamed = {}
    for layer in net.layer:
        if layer.type == "InnerProduct":
            renamed[layer.name] = layer.name + "_conv"
            layer.name, layer.type = renamed[layer.name], "Convolution"
            layer.convolution_param.num_output = layer.inner_product_param.num_output
            layer.convolution_param.kernel_size.append(1 if len(renamed) > 1 else 4)
            layer.ClearField("inner_product_param")
    return net, renamed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=["lenet.prototxt", "lenet.caffemodel"])
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    definition, weights = options.files

    proto, renamed = fully_convolutional(definition)
    full_conv = options.folder / "lenet_full_conv.prototxt"
    full_conv.write_text(str(proto))

    net = caffe.Net(definition, caffe.TEST, weights=weights)
    net_full_conv = caffe.Net(str(full_conv), caffe.TEST, weights=weights)
    for old, new in renamed.items():
        for source, target in zip(net.params[old], net_full_conv.params[new], strict=True):
            print(f"{old} {source.data.shape} -> {new} {target.data.shape}")
            target.data.flat = source.data.flat
    net_full_conv.save(str(options.folder / "lenet_full_conv.caffemodel"))

    # Three digits side by side, and the net's answer at every fourth pixel.
    with np.load(DIGITS) as digits:
        images, labels = digits["images"][-3:] / 255, digits["labels"][-3:]
    strip = np.concatenate(list(images), axis=1)
    net_full_conv.blobs["data"].reshape(1, 1, *strip.shape)
    net_full_conv.blobs["data"].data[...] = strip
    prob = net_full_conv.forward()["prob"]
    print("the digits:", labels, " the map:", prob.shape)
    print("the net's answers:", prob[0].argmax(0)[0])

    # Where a digit stands alone, the answer is the one that the net gives for its image.
    net.blobs["data"].reshape(3, 1, 28, 28)
    alone = net.forward(data=images[:, np.newaxis])["prob"]
    np.testing.assert_allclose(prob[0, :, 0, ::7].T, alone, rtol=1e-3, atol=1e-5)
    print("at the digits' places:", alone.argmax(1))


if __name__ == "__main__":
    main()
