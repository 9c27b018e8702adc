"""Scatter: y = x. It undoes Gather: in its fork each of several processes goes on with its part of a batch.

Source: the ScatterLayer of Y. Xiong's Caffe, as it is built without MPI.
"""

from __future__ import annotations

from bicerin_video.passed_on import PassedOn


class ScatterLayer(PassedOn):
    """Bottoms: any shapes. Tops: as many, the same."""

    type = "Scatter"
