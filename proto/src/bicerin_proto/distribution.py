"""Which distribution brings a layer type or a field, for errors about one that is not installed."""

from __future__ import annotations

CAFFE = "bicerin-proto"
"""The distribution that provides Caffe's own fields."""

_LAYERS = {
    "bicerin": "Input Split",
    "bicerin-python": "Python",
    "bicerin-convolution": "Convolution Deconvolution Im2col Local",
    "bicerin-pooling": "Pooling SPP GlobalSumPooling",
    "bicerin-inner-product": "InnerProduct Embed",
    "bicerin-activation": "ReLU PReLU ELU Sigmoid TanH Swish AbsVal BNLL Power Exp Log Threshold Clip Dropout SeLu"
    " SeLuDropout Mish SymmetricRectify Sparsify",
    "bicerin-normalization": "LRN MVN BatchNorm Scale Bias",
    "bicerin-loss": "SoftmaxWithLoss EuclideanLoss HingeLoss SigmoidCrossEntropyLoss InfogainLoss"
    " MultinomialLogisticLoss ContrastiveLoss Softmax Accuracy MultiLabelSigmoidLoss MultiLabelAccuracy"
    " WeightedSoftmaxWithLoss MulticlassCrossEntropyLoss",
    "bicerin-structure": "Concat Slice Eltwise Flatten Reshape Crop Tile Reduction ArgMax Filter BatchReindex Silence"
    " Parameter Switch",
    "bicerin-data": "Data ImageData HDF5Data HDF5Output MemoryData DummyData WindowData",
    "bicerin-recurrent": "RNN LSTM LSTMUnit",
    "bicerin-rcnn": "ROIPooling PSROIPooling SmoothL1Loss SmoothL1LossOHEM SoftmaxWithLossOHEM BoxAnnotatorOHEM"
    " Proposal ROIAlign PSROIAlign DecodeBBox DeformableConvolution L1Loss DeformablePSROIPooling"
    " DetectNetTransformation",
    "bicerin-ssd": "Permute Normalize PriorBox DetectionOutput MultiBoxLoss DetectionEvaluate AnnotatedData"
    " PriorBoxClustered",
    "bicerin-mobile": "DepthwiseConvolution ConvolutionDepthwise ReLU6 ShuffleChannel Axpy Upsample Interp BN"
    " BroadcastMul ImResize Nms Maximum SpatialTransformer",
    "bicerin-ocr": "CtcLoss ContinuationIndicator LabelsequenceAccuracy CTCGreedyDecoder Lstm Transpose Reverse",
    "bicerin-face": "CenterLoss TripletLoss GeneralContrastiveLoss GeneralTripletLoss FocalLoss MarginInnerProduct"
    " LargeMarginInnerProduct InnerDistance LabelSpecificAdd ChannelScale Flip Pairwise Gram Slope Truncation"
    " SoftTruncation Arccos Cosine LabelSpecificRescale GlobalLSEMargin LabeledMatching UnlabeledMatching",
    "bicerin-video": "Convolution3D NdConvolution Pooling3D NdPooling Gather Scatter BatchReduction VideoData",
    "bicerin-yolo": "Reorg RegionLoss Yolov3 YoloDetectionOutput Yolov3DetectionOutput EvalDetection BoxData"
    " DetectionLoss",
    "bicerin-segmentation": "DenseImageData ImageLabelmapData SegData ImageSegData SegAccuracy UnPooling"
    " MultiStageMeanfield AutoCrop DiceCoefLoss ParseEvaluate ParseOutput Unpooling",
}

_FIELDS: dict[str, dict[str, str]] = {
    "bicerin-pooling": {
        "PoolingParameter": "ceil_mode avg_include_pad",
    },
    "bicerin-normalization": {
        "BatchNormParameter": "scale_bias scale_filler bias_filler use_weight_bias bias_term filler disable_mean"
        " disable_variance stats_batch_size relu",
        "NetParameter": "bn_stats_batch_size",
        "ScaleParameter": "min_value max_value",
    },
    "bicerin-loss": {
        "AccuracyParameter": "min_is_better",
        "LossParameter": "weight_by_label_freqs class_weighting label_smoothing",
        "SoftmaxParameter": "class_weight scaling_temperature",
    },
    "bicerin-activation": {
        "DropoutParameter": "scale_train sample_weights_test",
        "LayerParameter": "selu_param selu_dropout_param symmetric_rectify_param sparsify_param",
    },
    "bicerin-rcnn": {
        "LayerParameter": "proposal_param box_annotator_ohem_param psroi_pooling_param roi_pooling_param"
        " smooth_l1_loss_param roi_align_param psroi_align_param deformable_convolution_param"
        " deformable_psroi_pooling_param bbox_reg_param decode_bbox_param detectnet_groundtruth_param"
        " detectnet_augmentation_param",
        "LossParameter": "pre_fixed_normalizer",
    },
    "bicerin-ssd": {
        "LayerParameter": "annotated_data_param multibox_loss_param permute_param prior_box_param"
        " detection_output_param detection_evaluate_param norm_param normalize_param",
        "SoftmaxParameter": "normalize_type",
        "SolverParameter": "eval_type ap_version plateau_winsize show_per_class_result",
        "SolverState": "minimum_loss iter_last_event",
        "TransformationParameter": "resize_param noise_param emit_constraint crop_h crop_w distort_param expand_param",
    },
    "bicerin-mobile": {
        "LayerParameter": "bn_param upsample_param interp_param shuffle_channel_param relu6_param imresize_param"
        " nms_param st_param",
        "V1LayerParameter": "bn_param",
    },
    "bicerin-ocr": {
        "LayerParameter": "ctc_loss_param continuation_indicator_param labelsequence_accuracy_param ctc_decoder_param"
        " lstm_param transpose_param reverse_param",
    },
    "bicerin-face": {
        "LayerParameter": "triplet_loss_param center_loss_param flip_param inner_distance_param"
        " general_contrastive_loss_param general_triplet_loss_param soft_truncation_param pairwise_param"
        " truncation_param largemargin_inner_product_param margin_inner_product_param focal_loss_param"
        " channel_scale_param label_specific_add_param label_specific_rescale_param labeled_matching_param"
        " unlabeled_matching_param",
    },
    "bicerin-video": {
        "ConvolutionParameter": "pad_shape kernel_shape stride_shape kernel_depth temporal_stride filter_group"
        " temporal_pad",
        "ImageDataParameter": "new_length show_data use_image sampling_rate use_temporal_jitter mean_value",
        "LayerParameter": "video_data_param convolution3d_param pooling3d_param batch_reduction_param",
        "PoolingParameter": "pad_shape kernel_shape stride_shape kernel_depth temporal_stride",
        "ReductionParameter": "k",
    },
    "bicerin-yolo": {
        "DataParameter": "side label_rows",
        "LayerParameter": "reorg_param region_loss_param eval_detection_param detection_loss_param"
        " yolo_detection_output_param yolov3_detection_output_param yolov3_param",
    },
    "bicerin-segmentation": {
        "ImageDataParameter": "ignore_label label_type label_fractions",
        "LayerParameter": "unpooling_param multi_stage_meanfield_param dense_image_data_param seg_data_param"
        " seg_accuracy_param parse_evaluate_param dice_coef_loss_param",
        "TransformationParameter": "stride upper_size upper_height upper_width scale_factors crop_width crop_height",
        "V1LayerParameter": "unpooling_param",
    },
    "bicerin-forks": {
        "BatchNormParameter": "engine update_global_stats",
        "ConcatParameter": "engine per_fla_fuse",
        "ConvolutionParameter": "conv_algorithm cudnn_convolution_algo_seeker conv_algos_override cudnn_math_override"
        " dilation_h dilation_w shape_offset",
        "DataParameter": "shuffle parser_threads cache threads preselection_file preselection_label range_start"
        " range_end rand_permute rand_permute_order rand_permute_seed slice_point encoding verbose subtract"
        " permute_every_iter block_size disk_reader_threads huge_video_dataset limit_samples",
        "DropoutParameter": "sqrt_scale",
        "EltwiseParameter": "engine",
        "FillerParameter": "scale alpha",
        "ImageDataParameter": "min_height min_width max_aspect_ratio max_rotate_angle min_random_scale"
        " max_random_scale max_random_shift face_mirror face_point_num face_transform max_shear_ratio cache"
        " precache threads short_side",
        "InnerProductParameter": "engine",
        "LayerParameter": "bottom_data_type compute_data_type top_data_type bottom_quantizer top_quantizer"
        " net_quantizer blobs_quantizer device bottom_shared_index top_shared_index"
        " forward_type"
        " backward_type forward_math mergecrop_param affinity_param moe_param noise_param trt_param"
        " spatial_dropout_param mn_grad_compress_param quantization_param"
        " sequence_data_param sib_data_param insanity_param eltwise_affine_param"
        " sub_region_param split_param fcn_data_param soft_contrastive_loss_param smoothl1_param"
        " batch_contrastive_loss_param nca_param infimum_loss_param"
        " ordinal_regression_loss_param resize_param feature_decay_loss_param"
        " confidence_penalty_loss_param label_specific_margin_param"
        " label_specific_affine_param label_specific_hard_margin_param label_specific_statistics_param"
        " exp_triplet_loss_param yolo_seg_param segmentation_evaluate_param"
        " backward_math engine multinode mn_activation_param predict_box_param debug cudnn_math_override"
        " hotspot_param roi_warping_param mask_pooling_param mask_resize_param compact_bilinear_param"
        " mil_data_param mil_param mean_param"
        " reshape_every_iter proposal_target_param module_param coeff_schedule_param"
        " augmentation_param correlation_param l1_loss_param writer_param reader_param resample_param"
        " downsample_param lpq_loss_param flow_warp_param accum_param black_augmentation_param"
        " box_output_param inner_product_blob_param"
        " dense_crf_param domain_transform_param adaptive_bias_channel_param"
        " bias_channel_param",
        "NetParameter": "engine compile_net_state multinode mem_param default_forward_type"
        " default_backward_type default_forward_math default_backward_math global_grad_scale"
        " global_grad_scale_adaptive default_conv_algos_override default_cudnn_math_override reduce_buckets"
        " eltwise_mem_sharing",
        "PoolingParameter": "axis",
        "SoftmaxParameter": "hard_ratio hard_mining_label cutting_point label_smooth_factor",
        "SolverParameter": "richness group_id per_parameter_reduce max_epoch epoch_size test_epoch_size"
        " test_interval_epoch disabled_update engine warmup_iter warmup_start_lr local_lr_auto local_gw_ratio"
        " min_lr rampup_interval rampup_lr momentum_policy max_momentum momentum_power weight_decay_policy"
        " weight_decay_power larc larc_policy larc_eta larc_turbo solver_data_type store_blobs_in_old_format"
        " test_and_snapshot_start_epoch test_and_snapshot_last_epochs stagelr stageiter test_offset",
        "TransformationParameter": "use_gpu_transform flow original_image display"
        " random_seed var_sz_img_rand_resize_lower var_sz_img_rand_resize_upper"
        " var_sz_img_rand_crop var_sz_img_center_crop rand_wscale_lower rand_wscale_upper rand_hscale_lower"
        " rand_hscale_upper rand_lscale_lower rand_lscale_upper img_header target_dist center_perterb_max sigma"
        " sigma_center clahe_tile_size clahe_clip_limit do_clahe num_parts num_total_augs aug_way gray np_in_lmdb"
        " transform_body_joint put_gaussian has_masks analysis use_segmentation_scale selective_scale"
        " per_part_scale bgr2rgb pad max_cvg_len min_cvg_len opaque_coverage"
        " coverage flip_prob max_rotate_degree visualize crop_size_x crop_size_y scale_prob scale_min scale_max"
        " bbox_norm_factor",
    },
    "bicerin-inner-product": {
        "InnerProductParameter": "normalize",
    },
    "bicerin-data": {
        "TransformationParameter": "random_resize_param random_aspect_ratio_param img_rand_resize_lower"
        " img_rand_resize_upper rand_resize_ratio_lower rand_resize_ratio_upper vertical_stretch_lower"
        " vertical_stretch_upper horizontal_stretch_lower horizontal_stretch_upper allow_upscale fix_crop"
        " multi_scale scale_ratios max_distort is_flow more_fix_crop interpolation_algo_up"
        " interpolation_algo_down",
    },
    "bicerin-convolution": {
        "ConvolutionParameter": "relu negative_slope",
        "LayerParameter": "local_param",
    },
}

_OF_LAYER = {name: distribution for distribution, names in _LAYERS.items() for name in names.split()}
_OF_FIELD = {
    (message, name): distribution
    for distribution, messages in _FIELDS.items()
    for message, names in messages.items()
    for name in names.split()
}


def layer_distribution(layer_type: str) -> str | None:
    """Return the distribution known to bring a layer type, such as "bicerin-ssd" for "PriorBox"."""
    return _OF_LAYER.get(layer_type)


def layer_types() -> tuple[str, ...]:
    """Return every layer type that a known distribution brings."""
    return tuple(_OF_LAYER)


def field_distribution(message: str, field: str) -> str | None:
    """Return the distribution known to bring a field that a message of Caffe's schema, "LayerParameter", lacks."""
    return _OF_FIELD.get((message, field))


def fields() -> dict[tuple[str, str], str]:
    """Return every field that a known distribution brings: (message, field) -> distribution."""
    return dict(_OF_FIELD)
