"""A small C3D learns from folders of frames which way a square moves, which no single frame shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import bicerin

SIZE, LENGTH = 12, 4
#: Down and across, of each class.
WAYS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def write_video(folder: Path, label: int, random: np.random.Generator) -> None:
    """Frames of a square of 4 pixels that moves 2 pixels a frame, on noise."""
    folder.mkdir()
    down, across = WAYS[label]
    free = SIZE - 4 - 2 * (LENGTH - 1)
    top, left = (
        int(random.integers(SIZE - 3)) if way == 0 else int(random.integers(free + 1)) + (way < 0) * 2 * (LENGTH - 1)
        for way in (down, across)
    )
    for frame in range(LENGTH):
        image = random.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
        y, x = top + 2 * frame * down, left + 2 * frame * across
        image[y : y + 4, x : x + 4] = random.integers(160, 256, 3)
        cv2.imwrite(str(folder / f"{frame + 1:06d}.jpg"), image)


def test_it_learns_which_way_squares_move(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for name, videos in (("train", 96), ("test", 64)):
        lines = []
        for index in range(videos):
            write_video(tmp_path / f"{name}{index}", index % len(WAYS), random)
            lines.append(f"{name}{index} 1 {index % len(WAYS)}\n")
        (tmp_path / f"{name}.txt").write_text("".join(lines))

    def data(phase: str, batch: int) -> str:
        return f"""layer {{ name: "data" type: "VideoData" top: "data" top: "label" include {{ phase: {phase.upper()} }}
            transform_param {{ scale: 0.01 mean_value: 60 }} video_data_param {{ source: "{phase}.txt" use_image: true
            new_length: {LENGTH} batch_size: {batch} shuffle: {str(phase == "train").lower()} }} }}"""

    def convolution(name: str, bottom: str, outputs: int) -> str:
        return f"""layer {{ name: "{name}" type: "Convolution3D" bottom: "{bottom}" top: "{name}" convolution3d_param {{
            num_output: {outputs} kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1
            weight_filler {{ type: "msra" }} }} }}
            layer {{ name: "relu_{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}"""

    (tmp_path / "net.prototxt").write_text(f"""
        {data("train", 16)} {data("test", 64)}
        {convolution("conv1", "data", 8)}
        layer {{ name: "pool1" type: "Pooling3D" bottom: "conv1" top: "pool1"
            pooling3d_param {{ kernel_size: 2 kernel_depth: 1 stride: 2 }} }}
        {convolution("conv2", "pool1", 16)}
        layer {{ name: "pool2" type: "Pooling3D" bottom: "conv2" top: "pool2"
            pooling3d_param {{ kernel_size: 6 kernel_depth: 4 }} }}
        layer {{ name: "fc" type: "InnerProduct" bottom: "pool2" top: "fc"
            inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
        layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }}
        layer {{ name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
            include {{ phase: TEST }} }}""")
    (tmp_path / "solver.prototxt").write_text("""
        net: "net.prototxt" type: "Adam" base_lr: 0.01 momentum: 0.9 momentum2: 0.99 lr_policy: "step" gamma: 0.2
        stepsize: 70 display: 0 max_iter: 100 test_iter: 1 test_interval: 1000 test_initialization: false
        random_seed: 1 snapshot_after_train: false""")
    solver = bicerin.Solver(str(tmp_path / "solver.prototxt"))
    solver.step(100)
    (test,) = solver.test_nets
    test.share_trained_layers_with(solver.net)
    test.forward()
    accuracy = float(test.blobs["accuracy"].data)
    for net in (solver.net, test):
        net.close()
    print(f"{accuracy:.2f} of the moving squares are told; chance is 0.25")
    assert accuracy >= 0.9
