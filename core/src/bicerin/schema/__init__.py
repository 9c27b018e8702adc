"""What files are read with: Caffe's schema and what the installed plugins add to it."""

from bicerin.schema.create_layer import create_layer
from bicerin.schema.installed_schema import layer_owners, read_layer, read_net, read_solver, schema

__all__ = ["create_layer", "layer_owners", "read_layer", "read_net", "read_solver", "schema"]
