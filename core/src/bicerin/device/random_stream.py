"""RandomStream: random numbers that are the same on every device, drawn where they are wanted.

The bits are those of Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a block of 256
bits is a function of a key and of the block's number, so that a GPU's threads each make their own, and NumPy makes the
same ones in C. Call c of a stream is the blocks (1, 0, 0, c), (2, 0, 0, c), ... under the stream's key. Each 64-bit
word is two numbers of 32 bits, the low half first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.device.cuda import CudaSource
from bicerin.device.device import CPU, Device

KERNELS = CudaSource(Path(__file__).with_name("random_stream.cu"))

#: Numbers that the host makes at a time, so that what it works on stays in the cache: a multiple of a block's 8.
CHUNK = 1 << 16
BLOCK_NUMBERS = 8


class RandomStream:
    """Arrays of random numbers on a device, by methods with the names and meanings of NumPy's `Generator`.

    A call takes no more from `generator` than the key, once: two streams of one state are equal, on any two devices, to
    the rounding of the device's logarithm and sine.

    Args:
        generator: gives the key, when the first number is drawn.
        device: where the arrays are.
        dtype: of the arrays, float32 or float64.

    Attributes:
        xp: the array module of the device.
    """

    def __init__(
        self, generator: np.random.Generator, device: Device = CPU, dtype: np.dtype | type = np.float32
    ) -> None:
        self.device = device
        self.dtype = np.dtype(dtype)
        self.xp: Any = device.xp
        self._generator = generator
        self._key: int | None = None
        self._calls = 0

    def random(self, size: int | Sequence[int] = (), out: Any = None) -> Any:
        """Uniform in [0, 1)."""
        return self.uniform(size=size, out=out)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | Sequence[int] = (), out: Any = None) -> Any:
        """Uniform in [low, high): one of 2^24 values in float32, of 2^32 in float64."""
        dropped = 8 if self.dtype == np.float32 else 0
        scale, shift = self.dtype.type((high - low) / 2 ** (32 - dropped)), self.dtype.type(low)
        values = self._empty(size) if out is None else out
        if self.xp is np:
            for part, words in self._parts(values):
                bits = words.view(np.uint32)[: part.size]
                if dropped:
                    bits >>= dropped
                np.multiply(bits, scale, out=part, dtype=self.dtype, casting="unsafe")
                if shift:
                    part += shift
        else:
            self._launch("uniform", values, dropped, scale, shift)
        return values

    def standard_normal(self, size: int | Sequence[int] = (), out: Any = None) -> Any:
        """Normal with mean 0 and standard deviation 1."""
        return self.normal(size=size, out=out)

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: int | Sequence[int] = (), out: Any = None) -> Any:
        """Normal with mean `loc` and standard deviation `scale`, by Box and Muller's transform of two uniform ones."""
        real = self.dtype.type
        values = self._empty(size) if out is None else out
        if self.xp is np:
            for part, words in self._parts(values):
                bits = words.view(np.uint32)
                radius, angle = bits[::2].astype(self.dtype), bits[1::2].astype(self.dtype)
                radius *= real(2.0**-32)
                radius += real(2.0**-33)
                np.log(radius, out=radius)
                radius *= real(-2)
                np.sqrt(radius, out=radius)
                radius *= real(scale)
                angle *= real(2 * pi / 2**32)
                np.multiply(radius, np.cos(angle), out=part[::2])
                np.sin(angle, out=angle)
                np.multiply(radius[: part.size // 2], angle[: part.size // 2], out=part[1::2])
                if loc:
                    part += real(loc)
        else:
            self._launch("normal", values, real(loc), real(scale))
        return values

    def _empty(self, size: int | Sequence[int]) -> Any:
        with self.device.current():
            return self.xp.empty(size, self.dtype)

    def _draw(self) -> tuple[int, int]:
        """The key and the number of this call."""
        if self._key is None:
            self._key = int(self._generator.integers(2**63))
        call, self._calls = self._calls, self._calls + 1
        return self._key, call

    def _parts(self, values: np.ndarray) -> Any:
        """Parts of a contiguous array, with the 64-bit words for each, one for two elements."""
        key, call = self._draw()
        bits = np.random.Philox(key=[key, 0], counter=[0, 0, 0, call])
        flat = values.reshape(-1)
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK]
            yield part, bits.random_raw(-(-part.size // 2)).astype("<u8", copy=False)

    def _launch(self, kernel: str, values: Any, *arguments: Any) -> None:
        key, call = self._draw()
        with self.device.current():
            run = getattr(KERNELS.on(self.device, self.dtype), kernel)
            run(-(-values.size // BLOCK_NUMBERS), values.size, key, call, *arguments, values)
