"""Where PyTorch is not installed, what runs in it is not collected; `tox run -e torch` has it."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") and find_spec("safetensors") else ["pytorch"]
