"""What a data layer does to its images, as operations: the model then takes raw ones, uint8.

    blob = (image - mean) * scale, of the image's centre with `crop_size`

Images keep the layout of Caffe's stores: (N, C, H, W), colour images with blue first, as OpenCV reads them.
"""

from __future__ import annotations

import logging

import numpy as np

from bicerin.errors import NetError
from bicerin.layer.data_file import read_blob
from bicerin.net.node import Node
from bicerin_onnx.graph import Graph, Operation, Value
from bicerin_onnx.layer_graph import LayerGraph
from bicerin_onnx.names import free_name

#: The key of the model's metadata that says which input holds the images of a blob: this, and the blob's name.
KEY = "caffe.image."
_log = logging.getLogger("bicerin.onnx")
_DONE = {"scale", "mirror", "crop_size", "mean_file", "mean_value", "force_color", "force_gray"}


class Transformation:
    """The part of a `TransformationParameter` that changes an image's numbers in TEST.

    Raises:
        NetError: there is more in it than this.
        DataError: the mean file cannot be read.
    """

    def __init__(self, node: Node) -> None:
        param = node.param.transform_param
        other = sorted({field.name for field, _ in param.ListFields()} - _DONE)
        if other:
            raise NetError(
                f'layer "{node.name}": {", ".join(other)} of transform_param cannot be in a model; no preprocess, then.'
            )
        if param.mirror:
            _log.warning('layer "%s": the model does not mirror images', node.name)
        reading = node.param.image_data_param
        if node.type == "ImageData" and reading.new_height and reading.new_width:
            _log.warning(
                'layer "%s": the model does not resize images: give them as %d x %d (height x width), as new_height and'
                " new_width make them",
                node.name,
                reading.new_height,
                reading.new_width,
            )
        self.crop: int = param.crop_size
        self.scale = np.float32(param.scale)
        self.mean = mean_of(node)

    def sizes(self) -> tuple[int, int] | None:
        """Height and width that the images must have, where the mean has them."""
        if self.mean is not None and self.mean.shape[2:] != (1, 1):
            return self.mean.shape[2], self.mean.shape[3]
        return None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """What the data layer makes of images, (N, C, H, W)."""
        result = images.astype(np.float32)
        if self.mean is not None:
            result = result - self.mean
        if self.crop:
            top, left = ((size - self.crop) // 2 for size in result.shape[2:])
            result = result[:, :, top : top + self.crop, left : left + self.crop]
        return result * self.scale


def mean_of(node: Node) -> np.ndarray | None:
    """What a layer's transform_param subtracts, float32: an image (1, C, H, W), or values (1, C or 1, 1, 1).

    Raises:
        DataError: the mean file cannot be read.
    """
    param = node.param.transform_param
    if param.HasField("mean_file"):
        mean = read_blob(node.layer.context.resolve(param.mean_file), f'layer "{node.name}": mean_file')
        return mean.astype(np.float32).reshape(1, *mean.shape[-3:])
    return np.array(param.mean_value, np.float32).reshape(1, -1, 1, 1) if param.mean_value else None


def preprocess(graph: Graph, sources: dict[str, Node], opset: int) -> dict[str, str]:
    """Put the transformations of data layers before the graph; what the metadata is to say of the new inputs.

    Args:
        sources: the layers that make the inputs, by blob.

    Raises:
        NetError: no input has a transformation.
    """
    found = {}
    taken = {value.name for value in graph.values()} | {operation.name for operation in graph.operations}
    before: list[Operation] = []
    for index, value in enumerate(graph.inputs):
        node = sources[value.name]
        if len(value.shape or ()) != 4 or not node.param.HasField("transform_param"):
            continue
        transformation = Transformation(node)
        image = _image(value, transformation, free_name([f"{value.name}_image"], taken))
        own = Graph()
        place = LayerGraph(own, node.layer, [image], [value.shape or ()], opset)
        _write(place, image, transformation)
        own.operations[-1].outputs = [value]
        for number, operation in enumerate(own.operations):
            operation.name = free_name([f"{image.name}/{operation.operator}"], taken)
            taken.add(operation.name)
            for other in (*operation.inputs, *operation.outputs):
                if other is not None and not other.name:
                    other.name = free_name([f"{image.name}/{operation.operator}_{number}"], taken)
                    taken.add(other.name)
        before += own.operations
        graph.inputs[index] = image
        found[KEY + value.name] = image.name
    if not found:
        raise NetError(
            "preprocess: no input comes from a data layer with a transform_param, so it is not known what would be "
            "done to images. Export the net that has the data layer, or leave preprocess out."
        )
    graph.operations = before + graph.operations
    return found


def _image(value: Value, transformation: Transformation, name: str) -> Value:
    image = Value(name, value.shape)
    dims = list(value.dims if value.dims is not None else value.shape or ())
    sizes = transformation.sizes()
    if sizes is not None:
        dims[2:] = sizes
    elif transformation.crop:
        dims[2:] = [f"H_{name}", f"W_{name}"]
    image.dims = tuple(dims)
    image.is_image = True
    return image


def _write(place: LayerGraph, image: Value, transformation: Transformation) -> None:
    """Add the operations; the last one's output is the blob."""
    x = place.cast(image)
    if transformation.mean is not None:
        x = place.op("Sub", x, transformation.mean)
    if transformation.crop:
        size = place.sizes(image, 2, 4)
        start = place.op("Div", place.op("Sub", size, transformation.crop), 2)
        x = place.op("Slice", x, start, place.op("Add", start, transformation.crop), [2, 3])
    if transformation.scale != 1:
        place.op("Mul", x, float(transformation.scale))
