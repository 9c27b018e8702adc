"""A trained net to fine-tune to the classes of a folder of images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bicerin.errors import NetError
from bicerin.net import Net
from bicerin_data.deploy_net import deploy_net
from bicerin_data.fine_tuned_net import FineTuned, fine_tuned_net
from bicerin_data.image_folder import ImageFolder
from bicerin_data.preprocessor import Preprocessor, image_input, transform_param

_log = logging.getLogger("bicerin.data")


@dataclass(frozen=True)
class Trained:
    """A trained net to begin with, and how its images were prepared.

    Attributes:
        tuned: the net for the new classes.
        weights: its file of weights.
        shape: (C, H, W) of what it reads.
        mean: one number or one for each channel; empty where only the mean of the new images is known.
        scale: what is multiplied after that.
    """

    tuned: FineTuned
    weights: Path
    shape: tuple[int, int, int]
    mean: Sequence[float] = ()
    scale: float = 1.0


def trained_net(
    document: Any,
    weights: Path,
    images: ImageFolder,
    *,
    output: str | None = None,
    mean: Sequence[float] | None = None,
    scale: float | None = None,
) -> Trained:
    """A net to fine-tune to the classes of a folder.

    Args:
        document: the net, as `read_net` gives it.
        weights: its file of weights.
        output: the blob of the scores or probabilities; by default the net's only output.
        mean, scale: how images are prepared for it; by default as the `transform_param` of its data layer says, of
            whose mean image the mean of each channel is taken.

    Raises:
        NetError: it cannot be made one for other classes.
    """
    deployed = deploy_net(document)
    net = Net(deployed, "TEST")
    image = image_input(net)
    _, channels, height, width = net.blobs[image].shape
    if len(net.inputs) > 1:
        raise NetError(
            f"{document.name}: the net has the inputs {', '.join(net.inputs)}; there must be the image alone."
        )
    tuned = fine_tuned_net(deployed, image, len(images.labels), images.word, output)
    shape = (channels, height, width)
    param = transform_param(document)
    if param is not None:
        directory = document.path.parent if document.path is not None else None
        said = Preprocessor.from_transform_param(param, shape, directory)
        if mean is None and said.mean is not None:
            mean = said.mean.reshape(said.mean.shape[0], -1).mean(axis=1).tolist()
        scale = said.scale if scale is None else scale
    elif mean is None and scale is None:
        _log.warning(
            "%s does not say how images were prepared for it: the mean of the new ones is subtracted, and their values "
            "are 0 to 255. If it was trained otherwise, give --mean and --scale.",
            document.name,
        )
    return Trained(tuned, weights, shape, [] if mean is None else mean, 1.0 if scale is None else scale)
