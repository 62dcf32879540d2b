"""What torch does in several passes over memory, done in one, by numba.

The first call of each compiles it, in a second or two; numba keeps on disk what it made. All take
numpy arrays whose last axis lies together, bfloat16 as the uint16 of its bits, and write into one.

Shapes: L places, N rows, C channels of one.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from numba import prange, threading_layer, types  # pyright: ignore
from numba.core.config import DISABLE_JIT, NUMBA_NUM_THREADS  # pyright: ignore
from numba.extending import overload

from wg.errors import InputError

if DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set: nothing is compiled")

Array = np.ndarray
Products = tuple[Array, ...]
ONE, TWO, FOUR = np.float32(1), np.float32(2), np.float32(4)
UPPER, HALF = np.uint32(16), np.uint32(0x7FFF)
LOG2_E, LN_2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
EXPONENT, WHOLE = np.uint32(23), np.float32(1.5 * 2**23)  # where a float32 keeps whole numbers
E2, E3, E4, E5, E6, E7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))
STEEP = np.float32(40)  # exp(-40): beyond, gates are open or closed to float32's last bit
# NaN and infinity stay what they are; sums of rows may be taken in any order, or not.
EXACT = {"contract", "nsz", "arcp"}
rows = numba.njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")
summed = numba.njit(cache=True, nogil=True, fastmath=EXACT | {"reassoc"}, error_model="numpy")
# By threads. Each kernel has one of its own: numba keeps no code of a closure over another kernel,
# which would be compiled anew in each process.
shared = numba.njit(cache=True, nogil=True, parallel=True)


@cache
def openmp() -> bool:
    """Whether numba's threads are OpenMP's, which finds what torch has loaded of it.

    Another library's threads beside torch's, which wait by spinning, would make both slower.
    """
    before = torch.get_num_threads()
    try:
        numba.set_num_threads(1)  # starts them
        return threading_layer() == "omp"
    except ValueError:  # the user's choice of others, which are not there
        return False
    finally:
        torch.set_num_threads(before)  # as many as numba has, since it began


def share(wanted: int) -> int:
    """Lets kernels use up to so many threads, those of torch; how many there are."""
    count = min(wanted, NUMBA_NUM_THREADS) if openmp() else 1
    if count > 1:
        numba.set_num_threads(count)
    return count


def run(alone: Any, together: Any, count: int, threads: int, *told: Any) -> None:
    """A kernel of so many rows; InputError where numba has no room for what it compiles."""
    try:
        if threads == 1:
            alone(*told, 0, count)
        else:
            together(*told, threads)
    except OSError as error:
        raise InputError(
            f"numba cannot keep what it compiles beside {__file__}: {error}; make room, or name "
            "another folder by NUMBA_CACHE_DIR"
        ) from None


def single(value: Any) -> np.float32:
    """A number as float32."""
    raise NotImplementedError  # only in what numba compiles


def stored(value: np.float32, like: Array) -> Any:
    """A float32 as what the array holds, rounded to the nearest."""
    raise NotImplementedError


@overload(single, strict=False)
def _single(value: Any) -> Any:
    if value == types.uint16:
        return lambda value: np.uint32(np.uint32(value) << UPPER).view(np.float32)
    return lambda value: np.float32(value)


@overload(stored, strict=False)
def _stored(value: Any, like: Any) -> Any:
    def half(value: Any, like: Any) -> Any:
        bits = np.float32(value).view(np.uint32)
        return np.uint16((bits + HALF + ((bits >> UPPER) & np.uint32(1))) >> UPPER)

    return half if like.dtype == types.uint16 else lambda value, like: np.float32(value)


def normalised(
    x: Array, weight: Array, bias: Array, epsilon: np.float32, out: Array, threads: int
) -> None:
    """Layer norm of each row of x [N, C]."""
    run(_normalised, _normalised_shared, len(x), threads, x, weight, bias, epsilon, out)


@summed
def _normalised(
    x: Array, weight: Array, bias: Array, epsilon: Any, out: Array, first: int, last: int
) -> None:
    count = np.float32(x.shape[1])
    for n in range(first, last):
        total = np.float32(0)
        for c in range(x.shape[1]):
            total += single(x[n, c])
        mean, spread = total / count, np.float32(0)
        for c in range(x.shape[1]):
            off = single(x[n, c]) - mean
            spread += off * off
        scale = ONE / np.sqrt(spread / count + epsilon)
        for c in range(x.shape[1]):
            value = (single(x[n, c]) - mean) * scale * weight[c] + bias[c]
            out[n, c] = stored(value, out)


@shared
def _normalised_shared(
    x: Array, weight: Array, bias: Array, epsilon: Any, out: Array, threads: int
) -> None:
    for t in prange(threads):
        first, last = len(x) * t // threads, len(x) * (t + 1) // threads
        _normalised(x, weight, bias, epsilon, out, first, last)


def to_uint8(
    x: Array, scale: np.float32, offset: np.float32, repeat: int, out: Array, threads: int
) -> None:
    """scale * x + offset, cut to whole numbers, of an image x [N, L, C], each place `repeat` times.

    `out` is [N, L * repeat, C].
    """
    told = x, scale, offset, repeat, out
    run(_to_uint8, _to_uint8_shared, x.shape[0] * x.shape[1], threads, *told)


@rows
def _to_uint8(
    x: Array, scale: Any, offset: Any, repeat: int, out: Array, first: int, last: int
) -> None:
    count, length, channels = x.shape
    for n in range(count):
        for i in range(max(first - n * length, 0), min(last - n * length, length)):
            for r in range(repeat):
                for c in range(channels):
                    value = single(x[n, i, c]) * scale + offset
                    out[n, i * repeat + r, c] = np.uint8(np.int32(value))


@shared
def _to_uint8_shared(
    x: Array, scale: Any, offset: Any, repeat: int, out: Array, threads: int
) -> None:
    count = x.shape[0] * x.shape[1]
    for t in prange(threads):
        first, last = count * t // threads, count * (t + 1) // threads
        _to_uint8(x, scale, offset, repeat, out, first, last)


def enter_fours(x: Array, start: int, dilation: int, out: Array, threads: int) -> None:
    """B x of Winograd's F(4, 3), `wg.models.winograd`, for the outputs from place `start` on.

    x [L, C], with zeros beyond its ends; `out` is [6, N, C], a row for each four outputs.
    """
    run(_enter_fours, _enter_fours_shared, out.shape[1], threads, x, start, dilation, out)


@rows
def _enter_fours(x: Array, start: int, dilation: int, out: Array, first: int, last: int) -> None:
    length, channels = x.shape
    beyond = np.zeros(channels, x.dtype)
    for n in range(first, last):
        i = start + (4 * (n // dilation) - 1) * dilation + n % dilation
        x0 = x[i] if 0 <= i < length else beyond
        i += dilation
        x1 = x[i] if i < length else beyond
        i += dilation
        x2 = x[i] if i < length else beyond
        i += dilation
        x3 = x[i] if i < length else beyond
        i += dilation
        x4 = x[i] if i < length else beyond
        i += dilation
        x5 = x[i] if i < length else beyond
        for c in range(channels):
            even, odd = x4[c] - FOUR * x2[c], x3[c] - FOUR * x1[c]
            out[1, n, c] = even + odd
            out[2, n, c] = even - odd
            even, odd = x4[c] - x2[c], TWO * (x3[c] - x1[c])
            out[3, n, c] = even + odd
            out[4, n, c] = even - odd
            out[0, n, c] = FOUR * (x0[c] - x2[c]) + even
            out[5, n, c] = x5[c] - x3[c] - TWO * odd


@shared
def _enter_fours_shared(x: Array, start: int, dilation: int, out: Array, threads: int) -> None:
    count = out.shape[1]
    for t in prange(threads):
        first, last = count * t // threads, count * (t + 1) // threads
        _enter_fours(x, start, dilation, out, first, last)


def leave_fours(
    products: Products, bias: Array, start: int, dilation: int, out: Array, threads: int
) -> None:
    """A m + bias of six products m [N, C], a row for each four outputs, into `out` [L, C]."""
    told = products, bias, start, dilation, out
    run(_leave_fours, _leave_fours_shared, len(products[0]), threads, *told)


@rows
def _leave_fours(
    products: Products, bias: Array, start: int, dilation: int, out: Array, first: int, last: int
) -> None:
    m0, m1, m2, m3, m4, m5 = products
    length, channels = out.shape
    beyond = np.empty(channels, out.dtype)
    for n in range(first, last):
        i = start + 4 * (n // dilation) * dilation + n % dilation
        y0 = out[i] if i < length else beyond
        i += dilation
        y1 = out[i] if i < length else beyond
        i += dilation
        y2 = out[i] if i < length else beyond
        i += dilation
        y3 = out[i] if i < length else beyond
        for c in range(channels):
            even, odd = m1[n, c] + m2[n, c] + bias[c], m1[n, c] - m2[n, c] + bias[c]
            far_even, far_odd = m3[n, c] + m4[n, c], TWO * (m3[n, c] - m4[n, c])
            y0[c] = m0[n, c] + even + far_even
            y1[c] = odd + far_odd
            y2[c] = even + FOUR * far_even
            y3[c] = odd + FOUR * far_odd + m5[n, c]


@shared
def _leave_fours_shared(
    products: Products, bias: Array, start: int, dilation: int, out: Array, threads: int
) -> None:
    for t in prange(threads):
        first, last = len(products[0]) * t // threads, len(products[0]) * (t + 1) // threads
        _leave_fours(products, bias, start, dilation, out, first, last)


def modulated(
    x: Array, scale: Array, shift: Array, slope: np.float32, out: Array, threads: int
) -> None:
    """shift + scale * x of arrays [N, C], and of what is below zero the part `slope`."""
    run(_modulated, _modulated_shared, len(x), threads, x, scale, shift, slope, out)


@rows
def _modulated(
    x: Array, scale: Array, shift: Array, slope: Any, out: Array, first: int, last: int
) -> None:
    for n in range(first, last):
        for c in range(x.shape[1]):
            value = single(shift[n, c]) + single(scale[n, c]) * single(x[n, c])
            out[n, c] = stored(value * slope if value < np.float32(0) else value, out)


@shared
def _modulated_shared(
    x: Array, scale: Array, shift: Array, slope: Any, out: Array, threads: int
) -> None:
    for t in prange(threads):
        first, last = len(x) * t // threads, len(x) * (t + 1) // threads
        _modulated(x, scale, shift, slope, out, first, last)


def gated(y: Array, condition: Array, out: Array, threads: int) -> None:
    """tanh(a) sigmoid(b) of halves (a, b) of y + condition, [L, 2 C]; `out` is [L, C].

    The condition comes times (-2, 1); it has L rows, one for all, or none.
    """
    run(_gated, _gated_shared, len(y), threads, y, condition, out)


@rows
def _gated(y: Array, condition: Array, out: Array, first: int, last: int) -> None:
    channels = out.shape[1]
    nothing = np.zeros(y.shape[1], condition.dtype)
    for n in range(first, last):
        told = nothing
        if len(condition) > 0:
            told = condition[n if len(condition) > 1 else 0]
        for c in range(channels):
            a = single(told[c]) - TWO * single(y[n, c])
            b = -single(told[channels + c]) - single(y[n, channels + c])
            a, b = exp(a), exp(b)
            out[n, c] = stored((ONE - a) / ((ONE + a) * (ONE + b)), out)


@shared
def _gated_shared(y: Array, condition: Array, out: Array, threads: int) -> None:
    for t in prange(threads):
        first, last = len(y) * t // threads, len(y) * (t + 1) // threads
        _gated(y, condition, out, first, last)


@rows
def exp(power: Any) -> Any:
    """e^x in float32, for x of at most `STEEP` either way, by Taylor's polynomial of a part."""
    x = STEEP if power > STEEP else power
    x = -STEEP if x < -STEEP else x
    z = x * LOG2_E + WHOLE
    g = (x * LOG2_E - (z - WHOLE)) * LN_2  # of at most ln(2) / 2
    part = ONE + g * (ONE + g * (E2 + g * (E3 + g * (E4 + g * (E5 + g * (E6 + g * E7))))))
    twos = np.float32(z).view(np.uint32) << EXPONENT
    value = np.uint32(np.float32(part).view(np.uint32) + twos).view(np.float32)
    return value if power == power else np.float32(power)  # NaN has bits of its own
