"""`caffe.coord_map`: where one top lies in another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.coord_map import AxisMismatchException, UndefinedMapException, compose, coord_map, coord_map_from_to, crop


def conv_pool_deconv(
    ks: Any = 3, stride: Any = 1, pad: Any = 0, pool: int = 2, dstride: Any = 2, dpad: int = 0
) -> caffe.NetSpec:
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 1, 100, 100]))
    n.aux = L.Input(shape=dict(dim=[2, 1, 20, 20]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=ks, stride=stride, pad=pad)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=pool, stride=pool, pad=0)
    n.deconv = L.Deconvolution(n.pool, num_output=10, kernel_size=2 * dstride, stride=dstride, pad=dpad)
    return n


@pytest.mark.parametrize(
    ("options", "scale", "offset"),
    [
        ({}, 1, 0),
        ({"pool": 4, "dstride": 4}, 1, -1),
        ({"pad": 7}, 1, -7),
        ({"dpad": 7}, 1, 7),
        ({"pad": 7, "dpad": 7}, 1, 0),
        ({"pool": 4}, 2, -0.5),
    ],
)
def test_the_map_of_a_chain(options: dict, scale: float, offset: float) -> None:
    n = conv_pool_deconv(**options)
    axis, a, b = coord_map_from_to(n.deconv, n.data)
    assert (axis, a, b) == (1, scale, offset)


def test_pointwise_layers_and_1x1_convolutions_change_nothing() -> None:
    n = conv_pool_deconv()
    n.relu = L.ReLU(n.deconv)
    n.conv1x1 = L.Convolution(n.relu, num_output=10, kernel_size=1)
    assert coord_map_from_to(n.conv1x1, n.data) == coord_map_from_to(n.deconv, n.data)


def test_several_bottoms_and_tops_are_mapped_alike() -> None:
    n = conv_pool_deconv()
    n.conv_data, n.conv_aux = L.Convolution(n.data, n.aux, ntop=2, num_output=10, kernel_size=5, stride=2, pad=0)
    assert coord_map_from_to(n.conv_data, n.data) == coord_map_from_to(n.conv_aux, n.aux)


def test_each_axis_has_its_own_map() -> None:
    one, two = conv_pool_deconv(ks=3), conv_pool_deconv(ks=5, stride=2, pad=10)
    both = conv_pool_deconv(ks=[3, 5], stride=[1, 2], pad=[0, 10])
    axis, a, b = coord_map_from_to(both.deconv, both.data)
    for place, n in enumerate((one, two)):
        assert coord_map_from_to(n.deconv, n.data) == (axis, a[place], b[place])


def test_three_spatial_axes() -> None:
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 3, 50, 50, 50]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=[3, 3, 3], stride=[1, 1, 1], pad=[0, 1, 2])
    axis, a, b = coord_map_from_to(n.conv, n.data)
    assert axis == 1 and (a == 1).all() and b.tolist() == [1, 0, -1]


def test_dilation_widens_the_kernel() -> None:
    data = L.Input()
    wide, plain = L.Convolution(data, kernel_size=3, dilation=2), L.Convolution(data, kernel_size=5)
    assert coord_map_from_to(wide, data) == coord_map_from_to(plain, data)


def test_a_crop_moves() -> None:
    n = conv_pool_deconv()
    _, _, b = coord_map_from_to(n.deconv, n.data)
    n.crop = L.Crop(n.deconv, n.data, axis=2, offset=4)
    assert coord_map_from_to(n.crop, n.data) == (1, 1, b + 4)


def test_crop_makes_a_layer_that_runs(write: Any) -> None:
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, 10, 12]))
    n.conv = L.Convolution(n.data, convolution_param=dict(num_output=2, kernel_size=3, pad=5))
    n.score = crop(n.conv, n.data)
    layer = n.to_proto().layer[-1]
    assert (layer.type, layer.crop_param.axis, list(layer.crop_param.offset)) == ("Crop", 2, [4])
    assert caffe.Net(write("crop.prototxt", str(n.to_proto())), caffe.TEST).forward()["score"].shape == (1, 2, 10, 12)


def fcn(n: caffe.NetSpec) -> None:
    """The layers of the fully convolutional VGG-16 that move or scale (J. Long et al., 2015)."""
    n.data = L.Input(shape=dict(dim=[1, 3, 500, 500]))
    top = n.data
    for stage, convolutions in enumerate((2, 2, 3, 3, 3), 1):
        for number in range(1, convolutions + 1):
            top = L.Convolution(top, num_output=64, kernel_size=3, pad=100 if stage == number == 1 else 1)
            top = L.ReLU(top, in_place=True)
        top = n[f"pool{stage}"] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    n.fc6 = L.Convolution(top, num_output=4096, kernel_size=7, pad=0)
    n.fc7 = L.Convolution(L.Dropout(n.fc6, in_place=True), num_output=4096, kernel_size=1, pad=0)
    n.score_fr = L.Convolution(n.fc7, num_output=21, kernel_size=1, pad=0)


def upsampled(top: Any, factor: int) -> Any:
    return L.Deconvolution(
        top, convolution_param=dict(num_output=21, kernel_size=2 * factor, stride=factor, bias_term=False)
    )


def offset(cropped: Any) -> list[int]:
    return cropped.fn.params["crop_param"]["offset"]


def test_the_offsets_of_the_published_fully_convolutional_nets() -> None:
    n = caffe.NetSpec()
    fcn(n)
    assert offset(crop(upsampled(n.score_fr, 32), n.data)) == [19]
    n.upscore2 = upsampled(n.score_fr, 2)
    n.score_pool4 = crop(L.Convolution(n.pool4, num_output=21, kernel_size=1, pad=0), n.upscore2)
    assert offset(n.score_pool4) == [5]
    n.fuse_pool4 = L.Eltwise(n.upscore2, n.score_pool4, operation=P.Eltwise.SUM)
    assert offset(crop(upsampled(n.fuse_pool4, 16), n.data)) == [27]
    n.upscore_pool4 = upsampled(n.fuse_pool4, 2)
    n.score_pool3 = crop(L.Convolution(n.pool3, num_output=21, kernel_size=1, pad=0), n.upscore_pool4)
    assert offset(n.score_pool3) == [9]
    n.fuse_pool3 = L.Eltwise(n.upscore_pool4, n.score_pool3, operation=P.Eltwise.SUM)
    assert offset(crop(upsampled(n.fuse_pool3, 8), n.data)) == [31]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pool": 3}, "scale mismatch"),
        ({"dpad": 10}, "negative offset"),
        ({"ks": 4, "dpad": 1, "pad": 2}, "noninteger"),
    ],
)
def test_a_crop_that_cannot_be(options: dict, words: str) -> None:
    n = conv_pool_deconv(**options)
    with pytest.raises(AssertionError, match=words):
        crop(n.deconv, n.data)


def test_tops_that_are_not_connected() -> None:
    n = conv_pool_deconv()
    n.ip = L.InnerProduct(n.deconv, num_output=10)
    for top in (n.ip, n.aux):
        with pytest.raises(RuntimeError, match="Could not compute map between tops"):
            coord_map_from_to(top, n.data)


def test_a_layer_without_a_map() -> None:
    with pytest.raises(UndefinedMapException):
        coord_map(L.InnerProduct(L.Input(), num_output=1).fn)
    with pytest.raises(AssertionError, match="_h/_w"):
        coord_map(L.Convolution(L.Input(), kernel_h=1, kernel_w=2).fn)


def test_maps_of_other_axes_do_not_compose() -> None:
    assert compose((None, 1, 0), (2, 3, 4)) == (2, 3, 4)
    with pytest.raises(AxisMismatchException):
        compose((1, 1, 0), (2, np.ones(1), np.zeros(1)))
