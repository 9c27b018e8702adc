"""Layers that read data: LMDB, LevelDB, HDF5, images, memory.

    from bicerin_data import Classifier, Preprocessor

    classifier = Classifier("train_test.prototxt", "net.caffemodel", labels="labels.txt")
    for label, score, number in classifier("cat.jpg", top=3):
        print(f"{score:.3f} {label}")

Each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin_data.classifier import Classifier as Classifier
    from bicerin_data.classifier import Prediction as Prediction
    from bicerin_data.preprocessor import Preprocessor as Preprocessor

_HOME = {"Classifier": "classifier", "Prediction": "classifier", "Preprocessor": "preprocessor"}

__all__ = ["Classifier", "Prediction", "Preprocessor"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
