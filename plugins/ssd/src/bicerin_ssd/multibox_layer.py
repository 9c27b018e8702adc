"""The options and sizes of MultiBoxLoss, which its code for the host and that for a device read alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import isfinite

from bicerin.errors import LayerError
from bicerin.layer import Blob, LossLayer, enum_name, normalization_mode
from bicerin_ssd.box_code import code_name
from bicerin_ssd.detection_output import require_priors, require_stage
from bicerin_ssd.ground_truth import COLUMNS, require_rows

_log = logging.getLogger("bicerin.ssd")


class MultiBoxLayer(LossLayer):
    """Reads `multibox_loss_param` and the shapes of the bottoms.

    Attributes:
        options: the `MultiBoxLossParameter`.
        loc_classes: L, of how many classes there are locations: 1, or `num_classes`.
        threshold: the overlap from which on every box matches; None where each object matches one box.
        suppressing: whether `nms_param` thins out the boxes that are mined.
        counted: whether the location loss counts, and the confidence loss.
        number, priors: N and P.

    Raises:
        LayerError: at set-up, an option is missing, unknown, or does not go with another.
        ShapeError: at reshape, the bottoms do not fit the options or each other.
    """

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.multibox_loss_param
        self.options = param
        if not param.num_classes:
            raise LayerError("Must provide num_classes, at least 1.")
        if not isfinite(param.neg_pos_ratio):
            raise LayerError(f"neg_pos_ratio must be a finite number, not {param.neg_pos_ratio}.")
        self.num_classes: int = param.num_classes
        self.loc_classes = 1 if param.share_location else self.num_classes
        self.background: int = param.background_label_id
        self.code = code_name(param)
        self.smooth = enum_name(param, "loc_loss_type", ("L2", "SMOOTH_L1")) == "SMOOTH_L1"
        self.softmax = enum_name(param, "conf_loss_type", ("SOFTMAX", "LOGISTIC")) == "SOFTMAX"
        self.mining = enum_name(param, "mining_type", ("NONE", "MAX_NEGATIVE", "HARD_EXAMPLE"))
        by_threshold = enum_name(param, "match_type", ("BIPARTITE", "PER_PREDICTION")) == "PER_PREDICTION"
        self.threshold = float(param.overlap_threshold) if by_threshold else None
        self.suppressing: bool = (
            self.mining != "NONE" and param.HasField("nms_param") and param.nms_param.nms_threshold > 0
        )
        self.normalization = normalization_mode(self.param.loss_param)
        #: Whether there are a first stage's scores, and locations.
        self.staged, self.moved = len(bottom) > 4, len(bottom) > 5
        self.objectness: float = param.objectness_score
        given = list(self.param.propagate_down)
        self.counted = (given[0], given[1]) if len(given) > 1 else (True, True)
        self._check_options()

    def _check_options(self) -> None:
        param = self.options
        if self.moved and not param.use_prior_for_matching:
            raise LayerError(
                "with a first stage's locations, boxes are matched where it moves them.",
                "Leave out use_prior_for_matching: false.",
            )
        if self.moved and (self.suppressing or self.mining == "HARD_EXAMPLE"):
            raise LayerError(
                "nms_param and mining_type: HARD_EXAMPLE are not supported with a first stage's locations."
            )
        if param.HasField("objectness_score") and not self.staged:
            raise LayerError("objectness_score needs a fifth bottom, the first stage's scores.")
        if param.HasField("do_neg_mining"):
            _log.warning('layer "%s": do_neg_mining is deprecated, use mining_type instead.', self.name)
            if param.do_neg_mining != (self.mining != "NONE"):
                raise LayerError(
                    f"do_neg_mining is {str(param.do_neg_mining).lower()}, but mining_type is {self.mining}.",
                    "Remove do_neg_mining.",
                )
        if self.mining != "NONE" and not param.share_location:
            raise LayerError(
                "Currently only support negative mining if share_location is true.", "Set mining_type: NONE."
            )
        if self.mining == "HARD_EXAMPLE" and param.sample_size <= 0:
            raise LayerError(f"sample_size must be greater than 0, not {param.sample_size}.")
        if self.softmax and self.background >= self.num_classes:
            raise LayerError(
                f"background_label_id should be within [0, num_classes) for Softmax: {self.background} "
                f"with num_classes {self.num_classes}."
            )
        if param.map_object_to_agnostic and self.num_classes != 2:
            raise LayerError(f"map_object_to_agnostic needs num_classes 2, not {self.num_classes}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.number = bottom[0].shape[0]
        self.priors = require_priors(bottom, self.loc_classes, self.num_classes)
        require_stage(bottom[4:], self.number, self.priors)
        require_rows(bottom[3], COLUMNS, "ground truth")
