"""Brew logistic regression from HDF5: tell the digit 4 from the digit 9, and then with a hidden layer.

python logistic_regression.py [--folder FOLDER]
"""

import argparse
import os
from pathlib import Path

import h5py
import numpy as np

import caffe
from caffe import layers as L

DIGITS = Path(__file__).parent.parent / "mnist" / "digits.npz"


def write_data():
    """train.h5 and test.h5, each with a list that names it, as the layer HDF5Data wants; returns the number to test."""
    with np.load(DIGITS) as digits:
        chosen = np.isin(digits["labels"], (4, 9))
        images = digits["images"][chosen].reshape(-1, 28 * 28).astype(np.float32) / 255
        labels = (digits["labels"][chosen] == 9).astype(np.float32)
    # Every fourth one is for the test.
    test = np.arange(len(labels)) % 4 == 0
    for name, part in (("train", ~test), ("test", test)):
        with h5py.File(f"{name}.h5", "w") as file:
            file["data"], file["label"] = images[part], labels[part]
        Path(f"{name}.txt").write_text(f"{name}.h5\n")
    return int(test.sum())


def regression(source, batch_size, hidden=0):
    n = caffe.NetSpec()
    n.data, n.label = L.HDF5Data(batch_size=batch_size, source=source, ntop=2)
    top = n.data
    if hidden:
        n.ip1 = L.InnerProduct(top, num_output=hidden, weight_filler=dict(type="xavier"))
        n.relu1 = top = L.ReLU(n.ip1, in_place=True)
    n.score = L.InnerProduct(top, num_output=2, weight_filler=dict(type="xavier"))
    n.accuracy = L.Accuracy(n.score, n.label)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


SOLVER = """
train_net: "train.prototxt" test_net: "test.prototxt" test_iter: 1 test_interval: 300 max_iter: 300
base_lr: 0.05 lr_policy: "step" gamma: 0.3 stepsize: 150 momentum: 0.9 weight_decay: 5e-4 random_seed: 1
display: 100 snapshot_after_train: false solver_mode: CPU
"""


def accuracy(hidden, tests):
    Path("train.prototxt").write_text(str(regression("train.txt", 50, hidden)))
    Path("test.prototxt").write_text(str(regression("test.txt", tests, hidden)))
    Path("solver.prototxt").write_text(SOLVER)
    solver = caffe.get_solver("solver.prototxt")
    solver.solve()
    return float(solver.test_nets[0].forward()["accuracy"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=".")
    os.chdir(parser.parse_args().folder)
    caffe.set_mode_cpu()
    tests = write_data()
    print(f"logistic regression: {accuracy(0, tests):.3f}")
    print(f"with a hidden layer: {accuracy(40, tests):.3f}")


if __name__ == "__main__":
    main()
