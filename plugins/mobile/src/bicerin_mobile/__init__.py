"""Layers of MobileNet, ShuffleNet, SENet, SegNet, ENet and PSPNet that Caffe 1.0 lacks."""
