"""Where arrays live: devices, memory on two sides, CUDA C beside a layer, random numbers equal on every device."""

from bicerin.device.cuda import CudaSource
from bicerin.device.device import CPU, Device, devices, get_device
from bicerin.device.memory import Layout, Memory, Room
from bicerin.device.random_stream import RandomStream

__all__ = ["CPU", "CudaSource", "Device", "Layout", "Memory", "RandomStream", "Room", "devices", "get_device"]
