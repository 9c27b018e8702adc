"""Data layers at the end of a process, and across a fork."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

NET = """
layer {
  name: "images" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list" batch_size: 4 }
}
"""

#: One net lives to the end, one is collected with its thread at work, one is closed.
ENDS = {
    "kept": "net = bicerin.Net('net.prototxt', 'TRAIN'); net.forward()",
    "collected": "bicerin.Net('net.prototxt', 'TRAIN').forward()",
    "local": "def run():\n    net = bicerin.Net('net.prototxt', 'TRAIN')\n    net.forward()\nrun()",
    "closed": "with bicerin.Net('net.prototxt', 'TRAIN') as net: net.forward()",
}


@pytest.fixture
def large_images(tmp_path):
    """Images that take long enough to decode that the thread is busy when the process ends."""
    random = np.random.default_rng(0)
    for index in range(4):
        small = random.integers(0, 256, (150, 150, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), cv2.resize(small, (1500, 1500)))
    (tmp_path / "list").write_text("".join(f"{tmp_path}/{index}.jpg {index}\n" for index in range(4)))
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path


@pytest.mark.parametrize("end", ENDS)
def test_a_process_with_a_busy_thread_ends_well(large_images, end):
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", f"import bicerin\n{ENDS[end]}"], cwd=large_images, capture_output=True, text=True
        )
        # On a busy machine it may say that it waits.
        said = [line for line in done.stderr.splitlines() if "waiting for data since" not in line]
        assert (done.returncode, said) == (0, [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_wait_for_a_thread_that_it_has_not(large_images):
    program = """
import os, bicerin
net = bicerin.Net("net.prototxt", "TRAIN")
net.forward()
child = os.fork()
if child == 0:
    try:
        net.forward()
    except bicerin.DataError as error:
        print(error, flush=True)
        os._exit(3)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
net.forward()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=large_images, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "does not survive a fork" in done.stdout and done.stdout.rstrip().endswith("3")
