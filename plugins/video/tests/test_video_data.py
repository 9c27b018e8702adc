"""VideoData: batches that a fork recorded, which frames each way takes, and that it goes on where a snapshot stood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import bicerin
from bicerin.errors import DataError, MissingDataError
from bicerin_proto.wire import VARINT, delimited, encoded_varint, tag

RECORDED = sorted(path.parent for path in (Path(__file__).parent / "recorded_batches").glob("*/batches.npz"))
SIZE = (6, 8)

Make = Callable[..., bicerin.Net]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.name)
def test_batches_of_the_fork(case: Path) -> None:
    """Recorded by yjxiong/caffe, branch action_recog; at TRAIN there is no choice in it."""
    text = (case / "net.prototxt").read_text()
    with bicerin.Net(case / "net.prototxt", phase=text.split()[2]) as net, np.load(case / "batches.npz") as expected:
        for number in range(5):
            net.forward()
            np.testing.assert_allclose(net.blobs["data"].data, expected[f"data:{number}"], rtol=1e-6)
            assert net.blobs["label"].data.tolist() == expected[f"label:{number}"].reshape(-1).tolist()


def test_all_batches_are_here() -> None:
    assert len(RECORDED) == 5


def level(video: int, frame: int) -> int:
    """The grey level of a frame, by which it is known in a batch."""
    return (40 * video + 10 * frame) % 250


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., None]:
    """Makes a folder of frames of one grey level each, without loss."""

    def make(name: str, frames: Sequence[int], pattern: str, video: int = 0) -> None:
        (tmp_path / name).mkdir()
        for frame in frames:
            # PNG files, whatever they are called: OpenCV goes by what is in them.
            _, data = cv2.imencode(".png", np.full((*SIZE, 3), level(video, frame), np.uint8))
            (tmp_path / name / (pattern % frame)).write_bytes(data.tobytes())

    return make


@pytest.fixture
def film_of(tmp_path: Path) -> Callable[..., None]:
    """Makes a film of frames of one grey level each, counted from 0."""

    def make(name: str, frames: int, video: int = 0) -> None:
        writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 16))
        assert writer.isOpened()
        for frame in range(frames):
            writer.write(np.full((16, 32, 3), level(video, frame), np.uint8))
        writer.release()

    return make


@pytest.fixture
def video_net(tmp_path: Path) -> Make:
    """A net of one VideoData over a list of these lines."""

    def make(options: str, lines: Sequence[str] = (), transform: str = "", phase: str = "TEST", **more: Any) -> Any:
        (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines))
        source = 'source: "list.txt" ' if lines else ""
        (tmp_path / "net.prototxt").write_text(
            f'layer {{ name: "d" type: "VideoData" top: "data" top: "label" transform_param {{ {transform} }} '
            f"video_data_param {{ {source}{options} }} data_param {{ batch_size: 1 }} }}"
        )
        return bicerin.Net(tmp_path / "net.prototxt", phase=phase, **more)

    return make


def levels(net: bicerin.Net) -> list[list[int]]:
    """The rounded level of each frame, of each clip of the next batch."""
    net.forward()
    return np.rint(net.blobs["data"].data[:, 0].mean((2, 3))).astype(int).tolist()


def test_clips_of_c3d_begin_where_the_list_says(folder_of: Any, video_net: Make) -> None:
    folder_of("root_a", range(1, 9), "%06d.jpg")
    folder_of("root_b", range(1, 9), "%06d.jpg", 1)
    net = video_net(
        'use_image: true new_length: 3 sampling_rate: 2 batch_size: 2 root_folder: "root_"', ["a 2 5", "b 1 7"]
    )
    assert net.blobs["data"].shape == (2, 3, 3, *SIZE)
    assert levels(net) == [[level(0, frame) for frame in (2, 4, 6)], [level(1, frame) for frame in (1, 3, 5)]]
    assert net.blobs["label"].data.tolist() == [5, 7]


def test_clips_of_c3d_begin_anywhere_while_it_trains(folder_of: Any, video_net: Make) -> None:
    folder_of("a", range(9), "%06d.jpg")
    options = "use_image: true new_length: 3 use_temporal_jitter: true batch_size: 40"
    found = levels(video_net(options, ["a 8 0"], phase="TRAIN", seed=3))
    assert {clip[0] // 10 for clip in found} == {1, 2, 3, 4, 5, 6}
    assert all(np.diff(clip).tolist() == [10, 10] for clip in found)
    assert levels(video_net(options, ["a 8 0"], phase="TRAIN", seed=3)) == found
    assert levels(video_net(options, ["a 8 0"], phase="TRAIN", seed=4)) != found
    assert {clip[0] for clip in levels(video_net(options, ["a 8 0"]))} == {0}


def test_rates_are_drawn(folder_of: Any, video_net: Make) -> None:
    """Of 1, 2 and 3; with 4 the 8 frames would not do."""
    folder_of("a", range(1, 9), "%06d.jpg")
    options = "use_image: true new_length: 2 use_temporal_jitter: true batch_size: 60 "
    options += "use_sampling_rate_jitter: true max_sampling_rate: 5"
    found = levels(video_net(options, ["a 7 0"], phase="TRAIN", seed=3))
    assert {(second - first) // 10 for first, second in found} == {1, 2, 3}


def test_several_labels(folder_of: Any, video_net: Make) -> None:
    folder_of("a", range(1, 3), "%06d.jpg")
    options = "use_image: true new_length: 2 batch_size: 3 use_multiple_label: true num_of_labels: 4"
    net = video_net(options, ["a 1 3,0", "a 1 2", "a 1 1,2,3"])
    assert net.blobs["label"].shape == (3, 4)
    net.forward()
    assert net.blobs["label"].data.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 1, 1, 1]]


def test_clips_of_video_caffe(folder_of: Any, film_of: Any, video_net: Make) -> None:
    """Folders and films in one list, both counted from 1."""
    folder_of("a", range(1, 6), "image_%04d.jpg")
    film_of("b.avi", 6, 1)
    net = video_net("new_length: 3 batch_size: 2 new_height: 4 new_width: 4", ["a 2 0", "b.avi 3 1"])
    expected = [[level(0, frame) for frame in (2, 3, 4)], [level(1, frame) for frame in (2, 3, 4)]]
    np.testing.assert_allclose(levels(net), expected, atol=3)
    assert net.blobs["data"].shape == (2, 3, 3, 4, 4)


def test_films_of_c3d(film_of: Any, video_net: Make) -> None:
    film_of("a.avi", 9)
    net = video_net("use_image: false new_length: 3 sampling_rate: 2 batch_size: 1 is_color: false", ["a.avi 3 0"])
    np.testing.assert_allclose(levels(net), [[level(0, frame) for frame in (3, 5, 7)]], atol=3)
    assert net.blobs["data"].shape == (1, 1, 3, 16, 32)
    jitter = "use_temporal_jitter: true new_length: 7 batch_size: 20"
    found = levels(video_net(jitter, ["a.avi 1"], phase="TRAIN", seed=1))
    assert {round(clip[0] / 10) for clip in found} == {0, 1, 2}


def test_the_mean_of_clips(tmp_path: Path, folder_of: Any, video_net: Make) -> None:
    folder_of("a", range(1, 4), "%06d.jpg")
    options, lines = "use_image: true new_length: 3 batch_size: 1", ["a 1 0"]
    net = video_net(options, lines, "mean_value: 1 mean_value: 2 mean_value: 3")
    net.forward()
    expected = np.array([[level(0, frame) - mean for frame in (1, 2, 3)] for mean in (1, 2, 3)])
    assert (net.blobs["data"].data[0] == expected[:, :, None, None]).all()
    # A mean of C3D 1.0: its BlobProto has an axis more than Caffe's, and all that follows has other numbers.
    cube = np.random.default_rng(1).random((3, 3, *SIZE), np.float32)
    axes = b"".join(tag(number, VARINT) + encoded_varint(size) for number, size in enumerate((1, *cube.shape), start=1))
    (tmp_path / "mean.binaryproto").write_bytes(axes + delimited(6, cube.tobytes()))
    net = video_net(options, lines, 'mean_file: "mean.binaryproto" crop_size: 4')
    net.forward()
    frames = np.array([level(0, frame) for frame in (1, 2, 3)])[None, :, None, None]
    np.testing.assert_allclose(net.blobs["data"].data[0], (frames - cube)[:, :, 1:5, 2:6], rtol=1e-5)


def test_segments_while_it_trains(folder_of: Any, video_net: Make) -> None:
    """Three segments of 4 frames, of which 2 follow each other; the mean goes on over the channels."""
    folder_of("a", range(1, 13), "%04d.png")
    options = 'num_segments: 3 new_length: 2 modality: RGB grayscale: true name_pattern: "%04d.png" batch_size: 60'
    net = video_net(options, ["a 12 0"], "mean_value: 0 mean_value: 10", "TRAIN", seed=2)
    net.forward()
    frames = (net.blobs["data"].data.mean((2, 3)) / 10).round().astype(int).reshape(60, 3, 2)
    assert (frames[:, :, 0] == frames[:, :, 1]).all()
    firsts = frames[:, :, 0] - 4 * np.arange(3)
    assert set(firsts.reshape(-1).tolist()) == {1, 2, 3}
    assert not (firsts == firsts[:, :1]).all()


def test_flow_is_mirrored(tmp_path: Path, video_net: Make) -> None:
    (tmp_path / "a").mkdir()
    for letter, value in (("x", 100), ("y", 60)):
        cv2.imwrite(str(tmp_path / "a" / f"flow_{letter}_0001.jpg"), np.full(SIZE, value, np.uint8))
    net = video_net("modality: FLOW batch_size: 20", ["a 1 0"], "is_flow: true mirror: true", "TRAIN")
    net.forward()
    found = {tuple(row) for row in net.blobs["data"].data.mean((2, 3)).astype(int).tolist()}
    assert found == {(100, 60), (155, 60)}


@pytest.mark.parametrize("options", [
    'num_segments: 2 modality: RGB name_pattern: "%06d.jpg" batch_size: 3 shuffle: true',
    "use_image: true new_length: 2 use_temporal_jitter: true batch_size: 3 shuffle: true rand_skip: 3",
], ids=["segments", "clips"])  # fmt: skip
def test_it_goes_on_where_it_stood(options: str, folder_of: Any, video_net: Make) -> None:
    for video in range(5):
        folder_of(f"v{video}", range(1, 8), "%06d.jpg", video)
    lines = [f"v{video} 7 {video}" for video in range(5)]

    def batches(net: bicerin.Net, number: int) -> list[np.ndarray]:
        made = []
        for _ in range(number):
            net.forward()
            made.append(np.concatenate([net.blobs[top].data.reshape(-1) for top in ("data", "label")]))
        return made

    transform = "mirror: true crop_size: 4"
    net = video_net(options, lines, transform, "TRAIN", seed=5)
    batches(net, 4)
    state = net.state()
    expected = batches(net, 4)
    other = video_net(options, lines, transform, "TRAIN", seed=6)
    batches(other, 1)
    other.restore_state(state)
    for one, same in zip(batches(other, 4), expected, strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_net_of_c3d_1_0(tmp_path: Path, folder_of: Any) -> None:
    folder_of("a", range(1, 4), "%06d.jpg")
    (tmp_path / "list.txt").write_text("a 2 4\n")
    (tmp_path / "net.prototxt").write_text("""
        layers { name: "data" type: VIDEO_DATA top: "data" top: "label" image_data_param { source: "list.txt"
            use_image: true batch_size: 1 crop_size: 4 mean_value: 5 new_length: 2 new_height: 5 new_width: 5 } }
        layers { name: "c" type: CONVOLUTION3D bottom: "data" top: "c" convolution_param {
            num_output: 2 kernel_size: 3 kernel_depth: 2 weight_filler { type: "constant" value: 1 } } }
        layers { name: "p" type: POOLING3D bottom: "c" top: "p" pooling_param {
            pool: MAX kernel_size: 2 kernel_depth: 1 stride: 2 temporal_stride: 1 } }""")
    net = bicerin.Net(tmp_path / "net.prototxt", phase="TEST")
    net.forward()
    assert net.blobs["label"].data.tolist() == [4]
    expected = 27 * sum(level(0, frame) - 5 for frame in (2, 3))
    assert (net.blobs["p"].data == np.full((1, 2, 1, 1, 1), expected)).all()


def test_the_frames_of_a_film(tmp_path: Path, film_of: Any, video_net: Make) -> None:
    film_of("a.avi", 5)
    net = video_net('video_type: VIDEO video_file: "a.avi"')
    found = []
    for _ in range(7):
        net.forward()
        assert net.blobs["data"].shape == (1, 3, 16, 32)
        found.append(round(float(net.blobs["data"].data.mean()) / 10))
        if len(found) == 4:
            state = net.state()
    assert found == [0, 1, 2, 3, 4, 0, 1]
    other = video_net('video_type: VIDEO video_file: "a.avi"')
    other.restore_state(state)
    other.forward()
    assert round(float(other.blobs["data"].data.mean()) / 10) == 4
    third = video_net('video_type: VIDEO video_file: "a.avi" skip_frames: 1')
    third.forward()
    assert round(float(third.blobs["data"].data.mean()) / 10) == 1


@pytest.mark.skipif(find_spec("bicerin_ssd") is None, reason="resize_param is a field of bicerin-ssd")
def test_the_frames_of_a_film_are_resized(film_of: Any, video_net: Make) -> None:
    film_of("a.avi", 2)
    resize = "resize_param { prob: 1 resize_mode: WARP height: 9 width: 7 interp_mode: LINEAR } mean_value: 1"
    net = video_net('video_type: VIDEO video_file: "a.avi"', transform=resize)
    net.forward()
    assert net.blobs["data"].shape == (1, 3, 9, 7)
    np.testing.assert_allclose(net.blobs["data"].data, level(0, 0) - 1, atol=3)


@pytest.mark.parametrize(("options", "lines", "reason"), [
    ("use_image: true new_length: 2", ["a one 2"], r"line 1: 'a one 2' is not `path number label`"),
    ("use_image: true new_length: 2", ["a 1 2,3"], r"is not `path number label`"),
    ("use_image: true new_length: 9", ["a 1 2"], r"video \"a\": Could not open or find file"),
    ("use_image: true new_length: 3 use_temporal_jitter: true", ["a 2 0"], "not enough frames; having 2, of 3"),
    ("use_image: true use_multiple_label: true", ["a 1 2"], "number of labels must be set"),
    ("use_image: true use_multiple_label: true num_of_labels: 2", ["a 1 2"], "of num_of_labels 2 labels"),
    ("use_image: true num_segments: 2", ["a 1 2"], "num_segments is of segments, use_image of clips"),
    ("use_image: true crop_size: 2", ["a 1 2"], "no fork reads crop_size there"),
    ("use_image: true new_height: 2", ["a 1 2"], "to be set at the same time"),
    ("use_image: true sampling_rate: 0", ["a 1 2"], "at least 1"),
    ("num_segments: 2 modality: RGB step: 2", ["a 1 2"], "branch 3D"),
    ('modality: RGB name_pattern: "%s.jpg"', ["a 1 2"], "is not a pattern such as image_%04d.jpg"),
    ('modality: FLOW name_pattern: "%04d.jpg"', ["a 1 2"], "is not a pattern such as flow_%c_%04d.jpg"),
    ("new_length: 2", ["a.avi 1 2"], "no such video file"),
    ("new_length: 2", ["list.txt 1 2"], "of no video format"),
    ("video_type: VIDEO", [], "Must provide video file"),
    ("num_segments: 2", [], "names no source"),
])  # fmt: skip
def test_what_cannot_be(options: str, lines: Any, reason: str, folder_of: Any, video_net: Make) -> None:
    folder_of("a", range(1, 4), "%06d.jpg")
    with pytest.raises(DataError, match=reason):
        video_net(options, lines).forward()


def test_without_a_camera(video_net: Make) -> None:
    with pytest.raises(MissingDataError, match="camera 9999 cannot be opened"):
        video_net("video_type: WEBCAM device_id: 9999")
