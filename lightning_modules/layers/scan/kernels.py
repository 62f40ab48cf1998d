"""The selective scan compiled for CPUs with Numba. Imported on first use: compiling takes seconds, once.

Inner loops run over channels, which lie side by side in memory: they vectorise, and no step waits for the one
before. Letters: ``B`` examples, ``T`` steps, ``C`` channels, ``S`` states a channel, ``K`` chunks. Arrays are
contiguous and of one dtype; what is called ``state`` is ``(S, C)`` for each example.
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
"""exp of less is no normal float32 any more."""


def _exp(x: Any) -> Any:
    raise NotImplementedError("for kernels only: Numba takes the implementation below")


@overload(_exp, jit_options={"fastmath": {"contract"}})
def _exp_for(x: Any) -> Any:
    """exp of x ≤ 0. Numba's own calls the C library for each number; this one vectorises in float32.

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
def _step(u: Any, delta: Any, decay: Any, write: Any, read: Any, state: Any, y: Any) -> None:
    """``state = exp(delta·decay)·state + delta·u·write``, then ``y = Σ_s read·state``."""
    y[:] = 0
    for s in range(len(write)):
        w, r, rates, row = write[s], read[s], decay[s], state[s]
        for c in range(len(u)):
            row[c] = _exp(delta[c] * rates[c]) * row[c] + delta[c] * u[c] * w
            y[c] += r * row[c]


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _step_to(u: Any, delta: Any, decay: Any, write: Any, before: Any, after: Any) -> None:
    """The state of `_step`, written elsewhere: for an array that may be its own source no loop vectorises."""
    for s in range(len(write)):
        w, rates, old, new = write[s], decay[s], before[s], after[s]
        for c in range(len(u)):
            new[c] = _exp(delta[c] * rates[c]) * old[c] + delta[c] * u[c] * w


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def forward(
    u: Any, delta: Any, decay: Any, write: Any, read: Any, states: Any, y: Any, starts: Any, chunk: int
) -> None:
    """Scan.

    Args:
        u: ``(B, T, C)``.
        delta: ``(B, T, C)``.
        decay: ``(S, C)``.
        write: ``(B, T, S)``.
        read: ``(B, T, S)``.
        states: ``(B, S, C)``, before the first step; becomes what is there after the last.
        y: ``(B, T, C)``, written.
        starts: ``(B, K, S, C)``, written: the state before each chunk.
        chunk: steps in a chunk.
    """
    for b in range(u.shape[0]):
        state = states[b]
        for t in range(u.shape[1]):
            if t % chunk == 0:
                starts[b, t // chunk] = state
            _step(u[b, t], delta[b, t], decay, write[b, t], read[b, t], state, y[b, t])


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def backward(
    u: Any,
    delta: Any,
    decay: Any,
    write: Any,
    read: Any,
    starts: Any,
    chunk: int,
    g_y: Any,
    g_states: Any,
    g_u: Any,
    g_delta: Any,
    g_decay: Any,
    g_write: Any,
    g_read: Any,
) -> None:
    """Gradients (``g_`` of an array is like the array), from the last chunk to the first.

    A chunk's states are computed anew from the one before it: memory does not hold those of all steps.

    Args:
        u: see `forward`.
        delta: see `forward`.
        decay: see `forward`.
        write: see `forward`.
        read: see `forward`.
        starts: see `forward`.
        chunk: see `forward`.
        g_y: of the output.
        g_states: of the state after the last step; becomes that of the state before the first.
        g_u: written.
        g_delta: written.
        g_decay: written.
        g_write: written.
        g_read: written.
    """
    n_steps = u.shape[1]
    states = np.empty((chunk + 1, decay.shape[0], decay.shape[1]), u.dtype)
    # Summed for each chunk and only then over all: adding small numbers to a large one loses their digits.
    g_rates = np.empty_like(decay)
    g_decay[:] = 0
    for b in range(u.shape[0]):
        for k in range(starts.shape[1] - 1, -1, -1):
            first, last = k * chunk, min((k + 1) * chunk, n_steps)
            states[0] = starts[b, k]
            for t in range(first, last):
                i = t - first
                _step_to(u[b, t], delta[b, t], decay, write[b, t], states[i], states[i + 1])
            g_rates[:] = 0
            for t in range(last - 1, first - 1, -1):
                i = t - first
                _step_back(
                    u[b, t],
                    delta[b, t],
                    decay,
                    write[b, t],
                    read[b, t],
                    states[i],
                    states[i + 1],
                    g_y[b, t],
                    g_states[b],
                    g_u[b, t],
                    g_delta[b, t],
                    g_rates,
                    g_write[b, t],
                    g_read[b, t],
                )
            g_decay += g_rates


@njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")
def _step_back(
    u: Any,
    delta: Any,
    decay: Any,
    write: Any,
    read: Any,
    before: Any,
    after: Any,
    g_y: Any,
    g_state: Any,
    g_u: Any,
    g_delta: Any,
    g_rates: Any,
    g_write: Any,
    g_read: Any,
) -> None:
    """The derivative of one `_step`; ``g_state`` goes from after the step to before it."""
    g_u[:] = 0  # holds the gradient of delta·u until the end
    g_delta[:] = 0
    for s in range(len(write)):
        w, r = write[s], read[s]
        rates, g_rate, old, new, g_old = decay[s], g_rates[s], before[s], after[s], g_state[s]
        g_w = g_r = w * 0
        for c in range(len(u)):
            kept = _exp(delta[c] * rates[c])
            g_new = g_old[c] + g_y[c] * r
            g_r += g_y[c] * new[c]
            g_w += g_new * delta[c] * u[c]
            g_u[c] += g_new * w
            g_exponent = g_new * old[c] * kept
            g_delta[c] += g_exponent * rates[c]
            g_rate[c] += g_exponent * delta[c]
            g_old[c] = g_new * kept
        g_write[s], g_read[s] = g_w, g_r
    for c in range(len(u)):
        g_delta[c] += g_u[c] * u[c]
        g_u[c] *= delta[c]
