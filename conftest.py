"""The suites ask for the pytest plugin of the test kit: the option `--device`, the fixtures `device`, `run_layer`."""

from importlib.util import find_spec

# The environments that test the schema alone, or the wheels, have no Bicerin of their own.
pytest_plugins = ["bicerin.testing.pytest_plugin"] if find_spec("bicerin") is not None else []
