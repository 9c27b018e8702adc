"""Learn LeNet on handwritten digits, step by step: the net as a NetSpec, and a solver that this script drives.

    python learning_lenet.py [--iterations 200] [--folder FOLDER]

Writes lenet_train.prototxt, lenet_test.prototxt, lenet_solver.prototxt, lenet.prototxt (to use the net with) and
lenet.caffemodel into the folder.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

MAKE_LMDB = Path(__file__).parent.parent / "mnist" / "make_lmdb.py"


def hidden_layers(n, data):
    """From the images to a score for each digit."""
    n.conv1 = L.Convolution(data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, weight_filler=dict(type="xavier"))
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool2, num_output=500, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=dict(type="xavier"))


def training_net(lmdb, batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        batch_size=batch_size, backend=P.Data.LMDB, source=lmdb, transform_param=dict(scale=1 / 255), ntop=2
    )
    hidden_layers(n, n.data)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


def deployed_net():
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, 28, 28]))
    hidden_layers(n, n.data)
    n.prob = L.Softmax(n.score)
    return n.to_proto()


def solver_parameters():
    s = caffe_pb2.SolverParameter()
    s.train_net = "lenet_train.prototxt"
    s.test_net.append("lenet_test.prototxt")
    s.test_interval, s.max_iter = 500, 10000
    s.test_iter.append(15)
    s.base_lr, s.momentum, s.weight_decay = 0.01, 0.9, 5e-4
    s.lr_policy, s.gamma, s.power = "inv", 0.0001, 0.75
    s.display, s.snapshot_prefix, s.random_seed = 100, "lenet", 1
    s.solver_mode = caffe_pb2.SolverParameter.CPU
    return s


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--folder", default=".")
    options = parser.parse_args()
    os.chdir(options.folder)

    if not Path("train_lmdb").exists():
        subprocess.run([sys.executable, MAKE_LMDB, "."], check=True)
    Path("lenet_train.prototxt").write_text(str(training_net("train_lmdb", 64)))
    Path("lenet_test.prototxt").write_text(str(training_net("test_lmdb", 100)))
    Path("lenet.prototxt").write_text(str(deployed_net()))
    Path("lenet_solver.prototxt").write_text(str(solver_parameters()))

    caffe.set_mode_cpu()
    solver = caffe.get_solver("lenet_solver.prototxt")
    for name, blob in solver.net.blobs.items():
        print(f"{name:8} {blob.data.shape}")

    # One step: what the net was given, and how far the weights of the first layer went.
    solver.net.forward()
    solver.test_nets[0].forward()
    print("labels:", solver.net.blobs["label"].data[:8].astype(int))
    solver.step(1)
    print("largest update of conv1:", np.abs(solver.net.params["conv1"][0].diff).max())

    losses, accuracies = [], []
    for iteration in range(1, options.iterations):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
        if iteration % 50 == 0 or iteration == options.iterations - 1:
            right = 0
            solver.test_nets[0].share_with(solver.net)
            for _ in range(15):
                solver.test_nets[0].forward()
                scores = solver.test_nets[0].blobs["score"].data
                right += (scores.argmax(1) == solver.test_nets[0].blobs["label"].data).sum()
            accuracies.append(right / 1500)
            print(f"iteration {iteration}: loss {np.mean(losses[-20:]):.3f}, test accuracy {accuracies[-1]:.3f}")
    solver.net.save("lenet.caffemodel")


if __name__ == "__main__":
    main()
