"""A net that reads strings of handwritten digits: CTC, CTPN's Lstm, the accuracy and the decoder, together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import bicerin

DIGITS = Path(__file__).parents[1] / "examples" / "mnist" / "digits.npz"
HEIGHT, WIDTH, LENGTH, BATCH = 14, 40, 3, 24
#: The class of the blank; 0 to 9 are the digits.
BLANK, STEPS = 10, WIDTH // 4


class Strings:
    """Images of 2 or 3 digits in a row, at half size, and what they read."""

    def __init__(self, part: slice) -> None:
        with np.load(DIGITS) as digits:
            images, self.labels = digits["images"][part], digits["labels"][part]
        self.images = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32)[:, :, 1:13] / 256
        self.random = np.random.default_rng(2)

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        images = np.zeros((number, 1, HEIGHT, WIDTH), np.float32)
        labels = np.full((number, LENGTH), BLANK)
        for image, label in zip(images, labels, strict=True):
            length = int(self.random.integers(2, LENGTH + 1))
            left = int(self.random.integers(0, 5 if length == LENGTH else 17))
            chosen = self.random.integers(0, len(self.images), length)
            label[:length] = self.labels[chosen]
            for index in chosen:
                image[0, :, left : left + 12] = self.images[index]
                left += 12
        return images, labels


def convolution(name: str, bottom: str, outputs: int, stride: int) -> str:
    return f"""
layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{
  num_output: {outputs} kernel_size: 3 pad: 1 stride: {stride} weight_filler {{ type: "msra" }} }} }}
layer {{ name: "{name}_relu" type: "ReLU" bottom: "{name}" top: "{name}" }}"""


FILLED = 'weight_filler { type: "xavier" }'
READER = f"""
{convolution("conv1", "data", 12, 2)} {convolution("conv2", "conv1", 24, 2)}
layer {{ name: "columns" type: "Transpose" bottom: "conv2" top: "columns" transpose_param {{ dim: [3, 0, 1, 2] }} }}
layer {{ name: "forth" type: "Lstm" bottom: "columns" top: "forth" lstm_param {{ num_output: 32 {FILLED} }} }}
layer {{ name: "turned" type: "Reverse" bottom: "columns" top: "turned" }}
layer {{ name: "back" type: "Lstm" bottom: "turned" top: "turned_back" lstm_param {{ num_output: 32 {FILLED} }} }}
layer {{ name: "back_turned" type: "Reverse" bottom: "turned_back" top: "back" }}
layer {{ name: "both" type: "Concat" bottom: "forth" bottom: "back" top: "both" concat_param {{ axis: 2 }} }}
layer {{ name: "scores" type: "InnerProduct" bottom: "both" top: "scores"
  inner_product_param {{ num_output: {BLANK + 1} axis: 2 {FILLED} }} }}
"""


def net(batch: int, ending: str) -> str:
    return f"""
layer {{ name: "data" type: "Input" top: "data" top: "label"
  input_param {{ shape {{ dim: [{batch}, 1, {HEIGHT}, {WIDTH}] }} shape {{ dim: [{batch}, {LENGTH}] }} }} }}
{READER}
{ending}"""


def test_it_reads_strings_of_digits(tmp_path: Path) -> None:
    loss = f"""layer {{ name: "loss" type: "CtcLoss" bottom: "scores" bottom: "label" top: "loss"
      loss_weight: {1 / BATCH}  # since the gradient is that of the sum
      ctc_loss_param {{ alphabet_size: {BLANK + 1} time_step: {STEPS} blank_label: {BLANK} }} }}"""
    (tmp_path / "train.prototxt").write_text(net(BATCH, loss))
    (tmp_path / "solver.prototxt").write_text("""
        net: "train.prototxt" type: "Adam" base_lr: 0.008 momentum: 0.9 momentum2: 0.99 lr_policy: "step" gamma: 0.3
        stepsize: 260 display: 0 max_iter: 330 random_seed: 1 snapshot_after_train: false""")
    solver = bicerin.Solver(str(tmp_path / "solver.prototxt"))
    strings = Strings(slice(0, 8500))
    for _ in range(330):
        for blob, values in zip(("data", "label"), strings.batch(BATCH), strict=True):
            solver.net.blobs[blob].data[...] = values
        solver.step(1)

    number = 200
    ending = f"""
        layer {{ name: "rows" type: "Transpose" bottom: "scores" top: "rows" transpose_param {{ dim: [1, 0, 2] }} }}
        layer {{ name: "accuracy" type: "LabelsequenceAccuracy" bottom: "rows" bottom: "label" top: "accuracy"
          labelsequence_accuracy_param {{ blank_label: {BLANK} }} }}
        layer {{ name: "markers" type: "ContinuationIndicator" bottom: "data" top: "markers"
          continuation_indicator_param {{ time_step: {STEPS} }} }}
        layer {{ name: "read" type: "CTCGreedyDecoder" bottom: "scores" bottom: "markers" top: "read" }}"""
    tested = bicerin.Net(net(number, ending), phase="TEST")
    tested.share_trained_layers_with(solver.net)
    images, labels = Strings(slice(8500, None)).batch(number)
    tops = tested.forward(data=images, label=labels)
    read = tops["read"][:, :, 0, 0]
    pairs = zip(read, labels, strict=True)
    right = np.mean([row[row >= 0].tolist() == label[label != BLANK].tolist() for row, label in pairs])
    print(f"{right:.1%} of {number} strings of digits not seen before are read without a mistake")
    assert np.isclose(right, tops["accuracy"])
    assert right > 0.65
