"""Classifier, and the net to use that it makes of a net to train."""

import numpy as np
import pytest

import bicerin
import bicerin_proto
from bicerin.errors import DataError, MissingDataError, NetError
from bicerin_data import Classifier, Prediction, Preprocessor
from bicerin_data.deploy_net import deploy_net

#: The scores of an image are its three values.
NET = 'name: "n" layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 1 dim: 1 } } }'


def image(*values):
    return np.array(values, np.uint8).reshape(1, 1, 3)


@pytest.fixture
def classifier():
    return Classifier(NET, labels=["blue", "green", "red"])


def test_the_highest_scores_come_first(classifier):
    assert classifier(image(9, 1, 5), top=2) == [Prediction("red", 9.0, 2), Prediction("blue", 5.0, 0)]
    assert [label for label, _, _ in classifier(image(7, 7, 7))] == ["blue", "green", "red"]


def test_batches_give_the_same(classifier):
    images = [image(i, 50 - i, 25) for i in range(7)]
    expected = [classifier(one) for one in images]
    for batch_size in (1, 3, 32):
        assert classifier.predict(images, batch_size=batch_size) == expected
    assert classifier.scores(images).shape == (7, 3)


def test_numbers_where_there_are_no_labels():
    assert Classifier(NET)(image(1, 2, 3), top=1) == [Prediction("0", 3.0, 0)]


def test_labels_from_a_file(tmp_path):
    (tmp_path / "labels.txt").write_text("n01 tench, Tinca tinca\n n02 dog\nn03 cat\n\n")
    found = Classifier(NET, labels=tmp_path / "labels.txt")
    assert found.labels == ["n01 tench, Tinca tinca", "n02 dog", "n03 cat"]
    (tmp_path / "labels.txt").write_text("a\n\nb\n")
    with pytest.raises(NetError, match=r"labels.*labels\.txt, line 2: the line is empty"):
        Classifier(NET, labels=tmp_path / "labels.txt")
    (tmp_path / "labels.txt").write_text("\n")
    with pytest.raises(NetError, match="the file is empty"):
        Classifier(NET, labels=tmp_path / "labels.txt")
    with pytest.raises(MissingDataError):
        Classifier(NET, labels=tmp_path / "none.txt")


def test_a_net_that_is_there(classifier):
    net = bicerin.Net(NET)
    halved = Classifier(net, preprocessor=Preprocessor((3, 1, 1), scale=0.5))
    assert halved.net is net
    assert halved(image(0, 0, 8), top=1) == [Prediction("0", 4.0, 0)]
    with pytest.raises(NetError, match="belong to the Net"):
        Classifier(net, "w.caffemodel")


@pytest.mark.parametrize(
    ("net", "options", "said"),
    [
        (NET, {"labels": ["a", "b"]}, '"x" has 3 scores an image, and there are 2 labels'),
        (NET, {"output": "y"}, 'no blob "y"'),
        (NET.replace("dim: 1 }", "dim: 2 }"), {}, "(1, 3, 1, 2)"),
        (NET.replace('top: "x"', 'top: "x" top: "y"'), {}, "2 inputs of four axes (x, y)"),
        (NET + ' layer { name: "z" type: "Input" top: "z" input_param { shape { dim: 1 } } }', {}, "x, z"),
        (NET.replace(" dim: 1 dim: 1 }", " }"), {}, "no input of four axes"),
    ],
)
def test_what_is_not_clear(net, options, said):
    with pytest.raises(NetError) as refused:
        Classifier(net, **options)
    assert said in str(refused.value)


def test_an_image_that_is_none(classifier):
    with pytest.raises(DataError):
        classifier(np.zeros((1, 1, 3)))


TRAINED = """
name: "net"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 7 mirror: true } data_param { source: "none" batch_size: 2 } }
layer { name: "test-data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { crop_size: 7 scale: 0.5 mean_value: 3 } data_param { source: "none" batch_size: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 4 } }
layer { name: "side" type: "InnerProduct" bottom: "data" top: "side" include { stage: "more" } }
layer { name: "weighted" type: "Eltwise" bottom: "label" bottom: "label" top: "twice" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "twice" top: "loss" loss_weight: 2
  loss_param { ignore_label: 3 } softmax_param { axis: 1 } }
"""


def test_the_net_to_use():
    document = bicerin_proto.read_net(TRAINED)
    before = str(document.message)
    net = deploy_net(document, (3, 7, 7)).message
    assert str(document.message) == before
    assert [(layer.name, layer.type) for layer in net.layer] == [
        ("test-data", "Input"), ("fc", "InnerProduct"), ("loss", "Softmax")
    ]  # fmt: skip
    data, _, prob = net.layer
    assert list(data.top) == ["data"] and list(data.input_param.shape[0].dim) == [1, 3, 7, 7]
    assert (data.transform_param.scale, list(data.transform_param.mean_value)) == (0.5, [3])
    assert not data.HasField("data_param")
    assert (list(prob.bottom), list(prob.top), prob.softmax_param.axis) == (["fc"], ["prob"], 1)
    assert not prob.loss_weight and not prob.HasField("loss_param")


def test_the_shape_may_be_the_layers_to_say():
    net = deploy_net(bicerin_proto.read_net(TRAINED)).message
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 3, 7, 7]
    unknown = bicerin_proto.read_net(TRAINED.replace("crop_size: 7", ""))
    with pytest.raises(NetError, match='images of layer "test-data" is not known'):
        deploy_net(unknown)


def test_stages_belong_to_the_state():
    net = deploy_net(bicerin_proto.read_net(TRAINED), (1, 7, 7), stages=["more"]).message
    assert "side" in [layer.name for layer in net.layer]


def test_a_net_to_use_stays_as_it_is():
    document = bicerin_proto.read_net(NET)
    assert deploy_net(document) is document


def test_two_layers_that_read_images():
    twice = 'layer { name: "more" type: "Data" top: "more" data_param { source: "n" } transform_param { scale: 2 } }'
    with pytest.raises(NetError, match="2 layers read data"):
        deploy_net(bicerin_proto.read_net(TRAINED + twice), (1, 7, 7))
    one = deploy_net(bicerin_proto.read_net(TRAINED + twice.replace("transform_param { scale: 2 }", "")), (1, 7, 7))
    assert [layer.type for layer in one.message.layer] == ["Input", "InnerProduct", "Softmax"]


def test_probabilities_of_their_own_name():
    net = TRAINED.replace('"fc"', '"prob"')
    assert list(deploy_net(bicerin_proto.read_net(net), (1, 7, 7)).message.layer[-1].top) == ["loss/prob"]


def test_what_a_classifier_is_not_called_with() -> None:
    classifier = Classifier(NET)
    with pytest.raises(bicerin.DataError, match="its predict takes several"):
        classifier([image(1, 2, 3)])  # type: ignore[arg-type]
    with pytest.raises(bicerin.NetError, match="top=0: it must be 1 or more"):
        classifier(image(1, 2, 3), top=0)
