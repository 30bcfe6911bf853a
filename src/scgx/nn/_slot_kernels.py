"""Compiled float32 kernels of slot attention on CPU.

Tokens go in blocks of sixteen; the weights of a block exist in one scratch array only and are computed again in the
backward pass. Each kernel works on the units ``first`` to ``last``, so that plain Python threads share the work: they
need no threading layer and leave the number of threads of numba as it was.

``weight`` is groups × h × channels × s, with zero channels up to a multiple of four. The two normalisers are one
array: log Σ exp over slots, batch × groups × h × n, or over tokens, batch × groups × h × s.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy import ndarray

_ROWS = 16  # tokens a block; a multiple of four, as the products ask
_SAFE = {"reassoc", "contract", "nsz", "arcp"}  # reorder sums, but keep NaN and infinity
_f = np.float32

_compile = numba.njit(nogil=True, cache=True, fastmath=_SAFE)


@_compile
def _exp(x: np.float32) -> np.float32:
    """Exponential of x ≤ 0, which unlike the C function runs on all lanes of a vector at once.

    2^y = 2^k 2^f with k the nearest integer: a polynomial (relative error 1e-7) and an addition to the exponent bits.
    """
    y = max(x, _f(-87.0)) * _f(1.44269504)
    k = np.rint(y)
    f = y - k
    p = _f(1.327647245e-3)
    p = p * f + _f(9.675541893e-3)
    p = p * f + _f(5.550713092e-2)
    p = p * f + _f(2.402212024e-1)
    p = p * f + _f(6.931469440e-1)
    p = p * f + _f(1.000000119)
    return np.int32(_f(p).view(np.int32) + (np.int32(k) << np.int32(23))).view(np.float32)


@_compile
def _add_product(a: ndarray, b: ndarray, c: ndarray) -> None:
    """Add the product a b to ``c``, four rows of both at a time, which the vector registers hold."""
    for m in range(0, a.shape[0], 4):
        for k in range(0, a.shape[1], 4):
            p0, p1, p2, p3 = a[m, k], a[m, k + 1], a[m, k + 2], a[m, k + 3]
            q0, q1, q2, q3 = a[m + 1, k], a[m + 1, k + 1], a[m + 1, k + 2], a[m + 1, k + 3]
            u0, u1, u2, u3 = a[m + 2, k], a[m + 2, k + 1], a[m + 2, k + 2], a[m + 2, k + 3]
            v0, v1, v2, v3 = a[m + 3, k], a[m + 3, k + 1], a[m + 3, k + 2], a[m + 3, k + 3]
            for t in range(c.shape[1]):
                b0, b1, b2, b3 = b[k, t], b[k + 1, t], b[k + 2, t], b[k + 3, t]
                c[m, t] += p0 * b0 + p1 * b1 + p2 * b2 + p3 * b3
                c[m + 1, t] += q0 * b0 + q1 * b1 + q2 * b2 + q3 * b3
                c[m + 2, t] += u0 * b0 + u1 * b1 + u2 * b2 + u3 * b3
                c[m + 3, t] += v0 * b0 + v1 * b1 + v2 * b2 + v3 * b3


@_compile
def _inner_product(a: ndarray, b: ndarray, c: ndarray) -> None:
    """Put the product a bᵀ into ``c``, two rows of ``a`` and four of ``b`` at a time."""
    for m in range(0, a.shape[0], 2):
        for k in range(0, b.shape[0], 4):
            c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = _f(0)
            for t in range(a.shape[1]):
                x, y = a[m, t], a[m + 1, t]
                b0, b1, b2, b3 = b[k, t], b[k + 1, t], b[k + 2, t], b[k + 3, t]
                c0 += x * b0
                c1 += x * b1
                c2 += x * b2
                c3 += x * b3
                d0 += y * b0
                d1 += y * b1
                d2 += y * b2
                d3 += y * b3
            c[m, k], c[m, k + 1], c[m, k + 2], c[m, k + 3] = c0, c1, c2, c3
            c[m + 1, k], c[m + 1, k + 1], c[m + 1, k + 2], c[m + 1, k + 3] = d0, d1, d2, d3


@_compile
def _load(source: ndarray, start: int, first: int, size: int, block: ndarray) -> int:
    """Copy rows from ``start`` and ``size`` channels from ``first`` into ``block``, zeros elsewhere; rows copied."""
    rows = min(block.shape[0], source.shape[0] - start)
    block[:] = 0
    for i in range(rows):
        for c in range(size):
            block[i, c] = source[start + i, first + c]
    return rows


@_compile
def _ordered(bits: np.int32) -> np.int32:
    """Bits of a float as an integer of the same order, and back."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@_compile
def _maximum(x: ndarray) -> np.float32:
    """Largest value, NaN if there is one; integers, because the compiler has no vector maximum of floats with NaN."""
    largest = np.int32(-0x80000000)
    bits = x.view(np.int32)
    for t in range(len(x)):
        largest = max(largest, _ordered(bits[t]))
    return np.int32(_ordered(largest)).view(np.float32)


@_compile
def _softmax_over_slots(logits: ndarray, values: ndarray, normaliser: ndarray) -> None:
    """Exponentiate each row; the sum of the row divides the token's values instead of its weights."""
    for i in range(len(normaliser)):
        largest = _maximum(logits[i])
        total = _f(0)
        for t in range(logits.shape[1]):
            weight = _exp(logits[i, t] - largest)
            logits[i, t] = weight
            total += weight
        for c in range(values.shape[1]):
            values[i, c] /= total
        normaliser[i] = largest + np.log(total)


@_compile
def _softmax_over_tokens(
    logits: ndarray, rows: int, largest: ndarray, total: ndarray, sums: ndarray, scale: ndarray
) -> None:
    """Exponentiate with the largest logit of each slot so far, and bring what was summed before to the new one."""
    scale[:] = largest
    for i in range(rows):
        for t in range(logits.shape[1]):
            largest[t] = logits[i, t] if logits[i, t] > largest[t] else largest[t]
    for t in range(logits.shape[1]):
        scale[t] = _exp(scale[t] - largest[t])
        total[t] *= scale[t]
    for c in range(sums.shape[0]):
        for t in range(logits.shape[1]):
            sums[c, t] *= scale[t]
    for i in range(rows):
        for t in range(logits.shape[1]):
            weight = _exp(logits[i, t] - largest[t])
            logits[i, t] = weight
            total[t] += weight


@_compile
def forward(
    first: int, last: int, hidden: ndarray, weight: ndarray, over_slots: bool, out: ndarray, normaliser: ndarray
) -> None:
    """Fill ``out`` (batch × groups × s × r) and ``normaliser`` for the units (sample, group) of the range."""
    groups, n_heads, channels, n_slots = weight.shape
    n, size = hidden.shape[2], hidden.shape[3] // n_heads
    tokens, logits = np.empty((_ROWS, channels), _f), np.empty((_ROWS, n_slots), _f)
    values = np.empty((_ROWS, (size + 3) // 4 * 4), _f)
    sums = np.empty((values.shape[1], n_slots), _f)
    largest, total, scale = np.empty(n_slots, _f), np.empty(n_slots, _f), np.empty(n_slots, _f)
    for unit in range(first * n_heads, last * n_heads):
        b, g, head = unit // n_heads // groups, unit // n_heads % groups, unit % n_heads
        source = hidden[b, g % hidden.shape[1]]
        sums[:], largest[:], total[:] = 0, -1e30, 0
        for start in range(0, n, _ROWS):
            rows = _load(source, start, 0, hidden.shape[3], tokens)
            _load(source, start, head * size, size, values)
            logits[:] = 0
            _add_product(tokens, weight[g, head], logits)
            if over_slots:
                _softmax_over_slots(logits, values, normaliser[b, g, head, start : start + rows])
            else:
                _softmax_over_tokens(logits, rows, largest, total, sums, scale)
            _add_product(values.T, logits, sums)  # rows beyond the last token have no values
        if not over_slots:
            normaliser[b, g, head] = largest + np.log(total)
            sums /= total
        out[b, g, :, head * size : (head + 1) * size] = sums[:size].T


@_compile
def _logit_gradient(logits: ndarray, gradient: ndarray, rows: int, over_slots: bool, slot_sums: ndarray) -> None:
    """Weights from normalised logits, and the gradient of the logits from that of the weights, in place."""
    for i in range(rows):
        token_sum = _f(0)
        for t in range(logits.shape[1]):
            weight = _exp(logits[i, t])
            logits[i, t] = weight
            gradient[i, t] *= weight
            token_sum += gradient[i, t]
        if not over_slots:
            token_sum = _f(0)
        for t in range(logits.shape[1]):
            gradient[i, t] -= logits[i, t] * (token_sum + slot_sums[t])
    logits[rows:], gradient[rows:] = 0, 0


@_compile
def backward(
    first: int,
    last: int,
    hidden: ndarray,
    weight: ndarray,
    normaliser: ndarray,
    over_slots: bool,
    grad_out: ndarray,
    slot_sums: ndarray,
    grad_hidden: ndarray,
    grad_weight: ndarray,
) -> None:
    """Fill ``grad_hidden`` (batch × groups × n × r) and add to ``grad_weight`` (parts × the shape of ``weight``).

    A unit is a part of the batch in one group. ``slot_sums`` is Σ_c grad_out · out of each slot and head, batch ×
    groups × h × s, or zero where the softmax runs over slots.
    """
    groups, n_heads, channels, n_slots = weight.shape
    batch, n, size = hidden.shape[0], hidden.shape[2], hidden.shape[3] // n_heads
    parts = grad_weight.shape[0]
    tokens, values = np.empty((_ROWS, channels), _f), np.empty((_ROWS, (size + 3) // 4 * 4), _f)
    logits, gradient = np.empty((_ROWS, n_slots), _f), np.empty((_ROWS, n_slots), _f)
    grad_tokens, grad_values = np.empty_like(tokens), np.empty_like(values)
    grad_sums = np.zeros((values.shape[1], n_slots), _f)
    for unit in range(first * n_heads, last * n_heads):
        part, g, head = unit // n_heads // groups, unit // n_heads % groups, unit % n_heads
        for b in range(part * batch // parts, (part + 1) * batch // parts):
            source, target = hidden[b, g % hidden.shape[1]], grad_hidden[b, g]
            grad_sums[:size] = grad_out[b, g, :, head * size : (head + 1) * size].T
            for start in range(0, n, _ROWS):
                rows = _load(source, start, 0, hidden.shape[3], tokens)
                _load(source, start, head * size, size, values)
                for i in range(rows):
                    if over_slots:
                        logits[i] = -normaliser[b, g, head, start + i]
                    else:
                        logits[i] = -normaliser[b, g, head]
                gradient[:] = 0
                _add_product(tokens, weight[g, head], logits)
                _add_product(values, grad_sums, gradient)
                _logit_gradient(logits, gradient, rows, over_slots, slot_sums[b, g, head])
                _inner_product(logits, grad_sums, grad_values)
                _inner_product(gradient, weight[g, head], grad_tokens)
                _add_product(tokens.T, gradient, grad_weight[part, g, head])
                if head == 0:
                    target[start : start + rows] = 0
                target[start : start + rows] += grad_tokens[:rows, : hidden.shape[3]]
                target[start : start + rows, head * size : (head + 1) * size] += grad_values[:rows, :size]
