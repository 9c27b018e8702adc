"""Which distribution brings a layer type or a field, for errors about one that is not installed."""

from __future__ import annotations

_LAYERS = {
    "bicerin": "Input Split",
    "bicerin-python": "Python",
    "bicerin-convolution": "Convolution Deconvolution Im2col",
    "bicerin-pooling": "Pooling SPP",
    "bicerin-inner-product": "InnerProduct Embed",
    "bicerin-activation": "ReLU PReLU ELU Sigmoid TanH Swish AbsVal BNLL Power Exp Log Threshold Clip Dropout",
    "bicerin-normalization": "LRN MVN BatchNorm Scale Bias",
    "bicerin-loss": "SoftmaxWithLoss EuclideanLoss HingeLoss SigmoidCrossEntropyLoss InfogainLoss"
    " MultinomialLogisticLoss ContrastiveLoss Softmax Accuracy",
    "bicerin-structure": "Concat Slice Eltwise Flatten Reshape Crop Tile Reduction ArgMax Filter BatchReindex"
    " Silence Parameter",
    "bicerin-data": "Data ImageData HDF5Data HDF5Output MemoryData DummyData WindowData",
    "bicerin-recurrent": "RNN LSTM LSTMUnit",
    "bicerin-rcnn": "ROIPooling PSROIPooling SmoothL1Loss SmoothL1LossOHEM BoxAnnotatorOHEM Proposal",
    "bicerin-ssd": "Permute Normalize PriorBox DetectionOutput MultiBoxLoss DetectionEvaluate AnnotatedData",
    "bicerin-mobile": "DepthwiseConvolution ReLU6 ShuffleChannel Axpy Upsample Interp BN",
}

_FIELDS = {
    "bicerin-rcnn": "roi_pooling_param psroi_pooling_param smooth_l1_loss_param box_annotator_ohem_param"
    " proposal_param",
    "bicerin-ssd": "permute_param norm_param prior_box_param detection_output_param multibox_loss_param"
    " detection_evaluate_param annotated_data_param resize_param noise_param distort_param expand_param emit_constraint"
    " eval_type ap_version show_per_class_result",
    "bicerin-mobile": "relu6_param shuffle_channel_param upsample_param interp_param bn_param",
}

_OF_LAYER = {name: distribution for distribution, names in _LAYERS.items() for name in names.split()}
_OF_FIELD = {name: distribution for distribution, names in _FIELDS.items() for name in names.split()}


def layer_distribution(layer_type: str) -> str | None:
    """Return the distribution known to bring a layer type, such as "bicerin-ssd" for "PriorBox"."""
    return _OF_LAYER.get(layer_type)


def layer_types() -> tuple[str, ...]:
    """Return every layer type that a known distribution brings."""
    return tuple(_OF_LAYER)


def field_distribution(field: str) -> str | None:
    """Return the distribution known to bring a field that Caffe's schema lacks."""
    return _OF_FIELD.get(field)
