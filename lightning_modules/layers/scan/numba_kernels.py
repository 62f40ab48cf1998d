"""The kernels of the selective scan for CPUs, compiled with Numba on their first use, which takes seconds.

The equations are those of `interface`. Inner loops run over channels, which lie side by side in memory, so
that they vectorise and no step waits for the one before. Arrays are contiguous and of one dtype. Shape
letters: ``b`` examples, ``l`` steps, ``d`` channels, ``n`` states of a channel, ``k`` chunks. The state ``h``
of one example is ``(n, d)``; ``g_`` before a name stands for its gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

# Sums may be reordered, or they could not be vectorised; infinities and NaN keep their meaning.
_SUMS = {"reassoc", "contract", "nsz"}
_LN2_IN_TWO = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LOWEST = np.float32(-87.0)
"""The exponential of anything less is no normal float32."""


def _exp(x: Any) -> Any:
    raise NotImplementedError("for kernels only: Numba takes the implementation below")


@overload(_exp, jit_options={"fastmath": {"contract"}})
def _exp_for(x: Any) -> Any:
    """The exponential of x ≤ 0, vectorised in float32; Numba's own calls the C library for each number.

    exp(x) = 2ⁿ·exp(r), n = round(x / ln 2), |r| ≤ ln 2 / 2, with a polynomial for exp(r) (Cephes' expf,
    S. Moshier); 2ⁿ is written into the exponent's bits. Relative error below 1e-7. NaN stays NaN.
    """
    high, low = _LN2_IN_TWO

    def exact(x: Any) -> Any:
        return math.exp(x)

    def vectorising(x: Any) -> Any:
        bounded = _LOWEST if x < _LOWEST else x
        n = np.rint(bounded * np.float32(1.4426950408889634))
        r = bounded - n * high - n * low
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        p = p * r * r + r + np.float32(1.0)
        return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)

    return vectorising if x is types.float32 else exact


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _step(u: Any, delta: Any, A: Any, B: Any, C: Any, h: Any, y: Any) -> None:
    """Advance the state ``h`` by one step, ``h = exp(Δ·A)·h + Δ·u·B``, and write ``y = Σ_n C·h``."""
    y[:] = 0
    for n in range(len(B)):
        A_n, B_n, C_n, h_n = A[n], B[n], C[n], h[n]
        for d in range(len(u)):
            h_n[d] = _exp(delta[d] * A_n[d]) * h_n[d] + delta[d] * u[d] * B_n
            y[d] += C_n * h_n[d]


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _next_state(u: Any, delta: Any, A: Any, B: Any, before: Any, after: Any) -> None:
    """Write the state of `_step` to another array: a loop that overwrites its source does not vectorise."""
    for n in range(len(B)):
        A_n, B_n, old, new = A[n], B[n], before[n], after[n]
        for d in range(len(u)):
            new[d] = _exp(delta[d] * A_n[d]) * old[d] + delta[d] * u[d] * B_n


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def forward(u: Any, delta: Any, A: Any, B: Any, C: Any, states: Any, y: Any, starts: Any, chunk: int) -> None:
    """Scan every example from its first step to its last.

    Args:
        u: ``(b, l, d)``.
        delta: ``(b, l, d)``.
        A: ``(n, d)``.
        B: ``(b, l, n)``.
        C: ``(b, l, n)``.
        states: ``(b, n, d)``, the state before the first step; overwritten by that after the last.
        y: ``(b, l, d)``, the output; written.
        starts: ``(b, k, n, d)``, the state before each chunk; written.
        chunk: steps of a chunk.
    """
    for b in range(u.shape[0]):
        state = states[b]
        for t in range(u.shape[1]):
            if t % chunk == 0:
                starts[b, t // chunk] = state
            _step(u[b, t], delta[b, t], A, B[b, t], C[b, t], state, y[b, t])


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def backward(
    u: Any,
    delta: Any,
    A: Any,
    B: Any,
    C: Any,
    starts: Any,
    chunk: int,
    g_y: Any,
    g_states: Any,
    g_u: Any,
    g_delta: Any,
    g_A: Any,
    g_B: Any,
    g_C: Any,
) -> None:
    """Compute the gradients of all inputs, from the last chunk to the first.

    The states of a chunk are computed anew from the one before it: those of all steps are never in memory.

    Args:
        u: see `forward`.
        delta: see `forward`.
        A: see `forward`.
        B: see `forward`.
        C: see `forward`.
        starts: see `forward`.
        chunk: see `forward`.
        g_y: ``(b, l, d)``, the gradient of the output.
        g_states: ``(b, n, d)``, the gradient of the last state; overwritten by that of the first.
        g_u: the gradient of ``u``; written.
        g_delta: the gradient of ``delta``; written.
        g_A: the gradient of ``A``; written.
        g_B: the gradient of ``B``; written.
        g_C: the gradient of ``C``; written.
    """
    n_steps = u.shape[1]
    states = np.empty((chunk + 1, A.shape[0], A.shape[1]), u.dtype)
    # Summed for each chunk and only then over all: adding small numbers to a large one loses their digits.
    g_A_chunk = np.empty_like(A)
    g_A[:] = 0
    for b in range(u.shape[0]):
        for k in range(starts.shape[1] - 1, -1, -1):
            first, last = k * chunk, min((k + 1) * chunk, n_steps)
            states[0] = starts[b, k]
            for t in range(first, last):
                i = t - first
                _next_state(u[b, t], delta[b, t], A, B[b, t], states[i], states[i + 1])
            g_A_chunk[:] = 0
            for t in range(last - 1, first - 1, -1):
                i = t - first
                _step_backward(
                    u[b, t],
                    delta[b, t],
                    A,
                    B[b, t],
                    C[b, t],
                    states[i],
                    states[i + 1],
                    g_y[b, t],
                    g_states[b],
                    g_u[b, t],
                    g_delta[b, t],
                    g_A_chunk,
                    g_B[b, t],
                    g_C[b, t],
                )
            g_A += g_A_chunk


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _step_backward(
    u: Any,
    delta: Any,
    A: Any,
    B: Any,
    C: Any,
    before: Any,
    after: Any,
    g_y: Any,
    g_h: Any,
    g_u: Any,
    g_delta: Any,
    g_A: Any,
    g_B: Any,
    g_C: Any,
) -> None:
    """Differentiate one `_step`; ``g_h`` turns from the gradient of the state after it to that before it."""
    g_u[:] = 0  # holds the gradient of Δ·u until the end
    g_delta[:] = 0
    for n in range(len(B)):
        A_n, B_n, C_n = A[n], B[n], C[n]
        g_A_n, old, new, g_h_n = g_A[n], before[n], after[n], g_h[n]
        g_B_n = g_C_n = B_n * 0
        for d in range(len(u)):
            decay = _exp(delta[d] * A_n[d])
            g_new = g_h_n[d] + g_y[d] * C_n
            g_C_n += g_y[d] * new[d]
            g_B_n += g_new * delta[d] * u[d]
            g_u[d] += g_new * B_n
            g_exponent = g_new * old[d] * decay
            g_delta[d] += g_exponent * A_n[d]
            g_A_n[d] += g_exponent * delta[d]
            g_h_n[d] = g_new * decay
        g_B[n], g_C[n] = g_B_n, g_C_n
    for d in range(len(u)):
        g_delta[d] += g_u[d] * u[d]
        g_u[d] *= delta[d]
