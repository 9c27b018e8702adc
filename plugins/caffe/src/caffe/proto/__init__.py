"""Caffe's messages: `caffe_pb2`."""
