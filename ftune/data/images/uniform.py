"""Random numbers that belong to a row: a function of seed, epoch and row, of nothing else.

Philox4x64-10 is a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"): the numbers of any row are found without those of the rows before it. The arithmetic is
on whole numbers, so a row gets the same bits in whatever batch it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.frame import Array

if TYPE_CHECKING:
    from ftune.data.store import RngKey

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
MIX = 2**32
"""The stream of what a whole batch draws."""


def uniforms(rng_key: RngKey, rows: Array, stream: int, count: int) -> Array:
    """[rows, count] float64 in [0, 1). `stream`: the place of the transform in its list."""
    blocks = -(-count // 4)
    counters = np.zeros((len(rows), blocks, 4), dtype=np.uint64)
    counters[:, :, 0] = np.arange(1, blocks + 1, dtype=np.uint64)
    counters[:, :, 1] = rows.astype(np.uint64)[:, None]
    counters[:, :, 2] = stream
    bits = _philox(counters, _key(rng_key)).reshape(len(rows), blocks * 4)[:, :count]
    result: Array = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return result


def generator(rng_key: RngKey, first: int) -> np.random.Generator:
    """The stream of the batch whose first row is `first`."""
    return np.random.Generator(np.random.Philox(counter=[0, first, MIX, 0], key=_key(rng_key)))


def _key(rng_key: RngKey) -> Array:
    return np.array([rng_key.seed % 2**64, rng_key.epoch], dtype=np.uint64)


def _philox(counters: Array, key: Array) -> Array:
    """[…, 4] counters -> [..., 4] random uint64, as `numpy.random.Philox` gives them."""
    c0, c1, c2, c3 = (counters[..., i] for i in range(4))
    k0, k1 = key
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2**64
        for _ in range(10):
            (h0, l0), (h1, l1) = _product(_M0, c0), _product(_M1, c2)
            c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
            k0, k1 = k0 + _W0, k1 + _W1
    return np.stack([c0, c1, c2, c3], axis=-1)


def _product(a: np.uint64, b: Array) -> tuple[Array, Array]:
    """The high and the low 64 bits of a · b."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low = a_low * b_low
    middle = a_high * b_low + (low >> _HALF)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (other >> _HALF), a * b


def each(function: Callable[[float], float], values: Array) -> Array:
    """`function` of every value alone: a vectorised sine may differ in its last bit by place."""
    flat = [function(value) for value in values.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def between(u: Array, low: float, high: float) -> Array:
    """Uniform numbers in [low, high) from those in [0, 1)."""
    result: Array = low + u * (high - low)
    return result
