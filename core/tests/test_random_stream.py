"""RandomStream: its bits, its distributions, and that no two streams, calls or places have to do with each other."""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest

from bicerin.device.random_stream import CHUNK, RandomStream

COUNT = 400_001


def stream(seed: int = 0, dtype: type = np.float32) -> RandomStream:
    return RandomStream(np.random.default_rng(seed), dtype=dtype)


def philox(key: int, counter: list[int]) -> list[int]:
    """One block, by the definition."""
    a, b, c, d = counter
    keys, most = [key, 0], 2**64 - 1
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = second >> 64 ^ b ^ keys[0], second & most, first >> 64 ^ d ^ keys[1], first & most
        keys = [keys[0] + 0x9E3779B97F4A7C15 & most, keys[1] + 0xBB67AE8584CAA73B & most]
    return [a, b, c, d]


@pytest.mark.parametrize(("dtype", "dropped"), [(np.float32, 8), (np.float64, 0)])
def test_the_bits_are_philox(dtype: type, dropped: int) -> None:
    random = stream(5, dtype)
    key = int(np.random.default_rng(5).integers(2**63))
    for call in range(2):
        words = philox(key, [1, 0, 0, call]) + philox(key, [2, 0, 0, call])
        numbers = [half >> dropped for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
        expected = np.array(numbers, dtype) / dtype(2.0 ** (32 - dropped))
        assert np.array_equal(random.random(13), expected[:13])


def largest_gap(sample: np.ndarray, distribution: np.ndarray) -> float:
    """Kolmogorov and Smirnov's statistic, of `distribution` at the sorted sample; times sqrt(n) it is below 1.95 with a
    probability of 99.9 %."""
    steps = np.arange(len(sample) + 1) / len(sample)
    return float(max(np.abs(steps[1:] - distribution).max(), np.abs(steps[:-1] - distribution).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_uniform(dtype: type, seed: int) -> None:
    values = stream(seed, dtype).uniform(-3, 1, COUNT)
    assert values.dtype == dtype and values.min() >= -3 and values.max() < 1
    assert abs(values.mean(dtype=float) + 1) < 4 * sqrt(16 / 12 / COUNT)
    ordered = np.sort(values).astype(float)
    assert largest_gap(ordered, (ordered + 3) / 4) * sqrt(COUNT) < 1.95


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_normal(dtype: type, seed: int) -> None:
    values = stream(seed, dtype).normal(2, 0.5, COUNT)
    assert values.dtype == dtype
    z = (values.astype(float) - 2) / 0.5
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 4 * sqrt(variance / COUNT), power
    ordered = np.sort(z)
    distribution = np.array([(1 + erf(value / sqrt(2))) / 2 for value in ordered])
    assert largest_gap(ordered, distribution) * sqrt(COUNT) < 1.95
    assert 4 < abs(z).max() < 6.8


def test_nothing_has_to_do_with_anything() -> None:
    """Neighbours, the two numbers of a pair, calls of a stream, streams of one generator, neighbouring seeds."""
    generator = np.random.default_rng(1)
    one, other = RandomStream(generator), RandomStream(generator)
    a, b, c, d = one.standard_normal(COUNT), one.standard_normal(COUNT), other.standard_normal(COUNT), stream(2)
    pairs = [(a, b), (a, c), (b, c), (a, d.standard_normal(COUNT)), (a[:-1], a[1:]), (a[:-2], a[2:]), (a[:-8], a[8:])]
    pairs += [(abs(x), abs(y)) for x, y in pairs]
    pairs += [(a[:-1:2] ** 2, a[1::2] ** 2), (one.random(COUNT), one.random(COUNT))]
    for x, y in pairs:
        assert abs(np.corrcoef(x, y)[0, 1]) < 4.5 / sqrt(len(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_differ_by_rounding_alone(dtype: type) -> None:
    single, double = stream(3).normal(0, 1, 1000), stream(3, np.float64).normal(0, 1, 1000)
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["random", "standard_normal"])
@pytest.mark.parametrize("size", [0, 1, 7, CHUNK - 1, CHUNK, CHUNK + 9])
def test_a_longer_array_starts_as_a_shorter_one(size: int, method: str) -> None:
    part, whole = getattr(stream(), method)(size), getattr(stream(), method)(CHUNK + 20)
    assert np.array_equal(part, whole[:size])


def test_the_generator_gives_one_key_and_only_when_wanted() -> None:
    generator = np.random.default_rng(4)
    before = generator.bit_generator.state
    random = RandomStream(generator)
    assert generator.bit_generator.state == before
    random.random(3)
    drawn = generator.bit_generator.state
    assert drawn != before
    random.normal(0, 1, (2, 3))
    assert generator.bit_generator.state == drawn


def test_into_an_array() -> None:
    out = np.empty((3, 5), np.float32)
    assert stream().random(out=out) is out
    assert np.array_equal(out, stream().random((3, 5)))
