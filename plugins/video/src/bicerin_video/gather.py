"""Gather: y = x.

In its fork each of several processes computes a part of a batch up to this layer, and all of the batch after it. Here
each process goes on with its own part, which gives the same gradients, since those of the processes are averaged.

Source: the GatherLayer of Y. Xiong's Caffe, as it is built without MPI.
"""

from __future__ import annotations

from bicerin_video.passed_on import PassedOn


class GatherLayer(PassedOn):
    """Bottoms: any shapes. Tops: as many, the same."""

    type = "Gather"
