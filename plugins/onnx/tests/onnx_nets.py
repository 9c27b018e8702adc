"""Small nets of the kinds that there are: a detector, regions, segmentation, sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bicerin import Net

DETECTOR = Path(__file__).with_name("detector.prototxt").read_text(encoding="utf-8")

RCNN = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 64 dim: 96 } } }
layer { name: "im_info" type: "Input" top: "im_info" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 8 kernel_size: 3
  stride: 16 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "rpn_score" type: "Convolution" bottom: "conv" top: "rpn_score" convolution_param { num_output: 18
  kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "rpn_box" type: "Convolution" bottom: "conv" top: "rpn_box" convolution_param { num_output: 36
  kernel_size: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "rpn_rows" type: "Reshape" bottom: "rpn_score" top: "rpn_rows"
  reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } } }
layer { name: "rpn_prob" type: "Softmax" bottom: "rpn_rows" top: "rpn_prob" }
layer { name: "rpn_maps" type: "Reshape" bottom: "rpn_prob" top: "rpn_maps"
  reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } } }
layer { name: "rois" type: "Proposal" bottom: "rpn_maps" bottom: "rpn_box" bottom: "im_info" top: "rois"
  proposal_param { scale: 1 scale: 2 scale: 4 post_nms_topn: 12 min_size: 4 } }
layer { name: "pool" type: "ROIPooling" bottom: "conv" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.0625 } }
layer { name: "score" type: "InnerProduct" bottom: "pool" top: "score" inner_product_param { num_output: 4
  weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""

SEGNET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 12 dim: 16 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3
  pad: 1 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" top: "mask" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Upsample" bottom: "pool" bottom: "mask" top: "up" upsample_param { scale: 2 } }
layer { name: "class" type: "ArgMax" bottom: "up" top: "class" argmax_param { axis: 1 } }
"""

WORDS = """
layer { name: "words" type: "Input" top: "words" input_param { shape { dim: 5 dim: 2 } } }
layer { name: "cont" type: "Input" top: "cont" input_param { shape { dim: 5 dim: 2 } } }
layer { name: "embed" type: "Embed" bottom: "words" top: "embed" embed_param { input_dim: 7 num_output: 6
  weight_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "lstm" type: "LSTM" bottom: "embed" bottom: "cont" top: "lstm" recurrent_param { num_output: 4
  weight_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "score" type: "InnerProduct" bottom: "lstm" top: "score" inner_product_param { num_output: 7 axis: 2
  weight_filler { type: "xavier" } } }
"""

#: FCN-8s in little: two skips, scores of different strides brought together by Deconvolution, Crop and Eltwise.
FCN = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 37 dim: 45 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param { num_output: 8 kernel_size: 3
  pad: 20 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool3" type: "Pooling" bottom: "conv1" top: "pool3" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "conv4" type: "Convolution" bottom: "pool3" top: "conv4" convolution_param { num_output: 8 kernel_size: 3
  pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu4" type: "ReLU" bottom: "conv4" top: "conv4" }
layer { name: "pool4" type: "Pooling" bottom: "conv4" top: "pool4" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "pool5" type: "Pooling" bottom: "pool4" top: "pool5" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc7" type: "Convolution" bottom: "pool5" top: "fc7" convolution_param { num_output: 8 kernel_size: 5
  weight_filler { type: "xavier" } } }
layer { name: "drop7" type: "Dropout" bottom: "fc7" top: "fc7" }
layer { name: "score_fr" type: "Convolution" bottom: "fc7" top: "score_fr" convolution_param { num_output: 4
  kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "upscore2" type: "Deconvolution" bottom: "score_fr" top: "upscore2" convolution_param { num_output: 4
  kernel_size: 4 stride: 2 bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "score_pool4" type: "Convolution" bottom: "pool4" top: "score_pool4" convolution_param { num_output: 4
  kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "score_pool4c" type: "Crop" bottom: "score_pool4" bottom: "upscore2" top: "score_pool4c"
  crop_param { axis: 2 offset: 2 } }
layer { name: "fuse_pool4" type: "Eltwise" bottom: "upscore2" bottom: "score_pool4c" top: "fuse_pool4" }
layer { name: "upscore_pool4" type: "Deconvolution" bottom: "fuse_pool4" top: "upscore_pool4" convolution_param {
  num_output: 4 kernel_size: 4 stride: 2 bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "score_pool3" type: "Convolution" bottom: "pool3" top: "score_pool3" convolution_param { num_output: 4
  kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "score_pool3c" type: "Crop" bottom: "score_pool3" bottom: "upscore_pool4" top: "score_pool3c"
  crop_param { axis: 2 offset: 4 } }
layer { name: "fuse_pool3" type: "Eltwise" bottom: "upscore_pool4" bottom: "score_pool3c" top: "fuse_pool3" }
layer { name: "upscore8" type: "Deconvolution" bottom: "fuse_pool3" top: "upscore8" convolution_param { num_output: 4
  group: 4 kernel_size: 4 stride: 2 bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "score" type: "Crop" bottom: "upscore8" bottom: "data" top: "score" crop_param { axis: 2 offset: 9 } }
"""

#: Words that go on from what an image shows, which is the same at every step.
CAPTIONS = WORDS.replace(
    'layer { name: "embed"',
    'layer { name: "image" type: "Input" top: "image" input_param { shape { dim: 2 dim: 3 } } }\nlayer { name: "embed"',
).replace('bottom: "embed" bottom: "cont" top: "lstm"', 'bottom: "embed" bottom: "cont" bottom: "image" top: "lstm"')


def give_statistics(net: Net) -> None:
    """Fill each BatchNorm with statistics that a training could have left."""
    random = np.random.default_rng(4)
    for node in net.nodes:
        if node.type == "BatchNorm":
            mean, variance, factor = (blob.data for blob in net.params[node.name])
            mean[...], factor[...] = random.normal(size=mean.shape), 1
            variance[...] = random.uniform(1, 3, variance.shape)
