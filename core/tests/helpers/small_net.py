"""Small nets of the layers of conftest."""

from __future__ import annotations

import bicerin

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 } } }\n'
LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 dim: 3 } } }\n'


def affine(name: str, bottom: str, top: str = "", more: str = "") -> str:
    filler = 'inner_product_param { weight_filler { type: "constant" value: 2 } }'
    return f'layer {{ name: "{name}" type: "Affine" bottom: "{bottom}" top: "{top or name}" {filler} {more} }}\n'


def square(name: str, bottom: str, top: str = "", more: str = "") -> str:
    return f'layer {{ name: "{name}" type: "Square" bottom: "{bottom}" top: "{top or name}" {more} }}\n'


def loss(bottom: str, more: str = "") -> str:
    return f'layer {{ name: "loss" type: "HalfSquareLoss" bottom: "{bottom}" bottom: "label" top: "loss" {more} }}\n'


def net(*layers: str, head: str = "", **options) -> bicerin.Net:
    return bicerin.Net(head + "".join(layers), **options)
