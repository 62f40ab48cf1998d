"""The selective scan in PyTorch alone, on any device.

Time is cut into chunks, which are scanned one after the other, and each chunk into rows, which are scanned at
the same time. Shape letters are those of `arguments`; ``k`` steps are a chunk's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from lightning_modules.layers.scan.arguments import Prepared, Scanned, prepared

ROW = 8
"""Steps of a row."""
CHUNK = 8 * ROW
"""Steps of a chunk."""


def chunked_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None = None
) -> Scanned:
    """Compute `selective_scan` chunk after chunk, with the rows of a chunk in parallel.

    Every row is scanned from a state of 0, all rows at once; then what is left of the state before each row
    is added, row after row. Decay factors are only ever multiplied, never divided by, so nothing overflows
    however fast states decay. (A cumulative sum of input / decay, a single operation, overflows where the
    states of a chunk decay by more than e⁻⁸⁸, and would bound its length.)
    """
    scan = prepared(u, delta, A, B, C, state)
    padding = (0, 0, 0, -u.shape[1] % ROW)  # steps without duration change no state
    in_time = {name: pad(getattr(scan, name), padding) for name in ("u", "delta", "B", "C")}
    y, last = _ChunkedScan.apply(*scan._replace(**in_time))
    return Scanned(y[:, : u.shape[1]].to(u.dtype), last.transpose(1, 2))


class _ChunkedScan(torch.autograd.Function):
    """Keeps the state before each chunk, and computes those within it anew in the backward pass."""

    @staticmethod
    def forward(ctx: Any, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """`Prepared` → y ``(b, l, d)`` and last state ``(b, n, d)``."""
        scan, starts = Prepared(*arguments), []
        state, output = scan.state, torch.empty_like(scan.u)
        for u, delta, B, C, y in _in_chunks(scan.u, scan.delta, scan.B, scan.C, output):
            starts.append(state)
            states = _recurrence(_decay(delta, scan.A), _outer(B, delta * u), state)
            y.copy_(_sum_of_states(C, states))
            state = states[:, -1].clone()
        ctx.save_for_backward(*arguments, *starts)
        return output, state.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Gradients of y and of the last state → of each part of `Prepared`."""
        g_output, g_state = gradients
        scan, starts = Prepared(*ctx.saved_tensors[:6]), ctx.saved_tensors[6:]
        g = Prepared(*(torch.zeros_like(part) for part in scan))
        chunks = _in_chunks(*scan[:2], *scan[3:5], g_output, *g[:2], *g[3:5])
        for start, chunk in zip(reversed(starts), reversed(chunks), strict=True):
            u, delta, B, C, g_y, g_u, g_delta, g_B, g_C = chunk
            decay, delta_u = _decay(delta, scan.A), delta * u
            states = _recurrence(decay, _outer(B, delta_u), start)
            g_C.copy_(_sum_of_channels(states, g_y))
            # A state acts on the output of its own step, and on the next step's state.
            to_next = torch.cat([decay[:, 1:], torch.ones_like(decay[:, :1])], dim=1)
            g_states = _recurrence(to_next, _outer(C, g_y), g_state, backwards=True)
            g_B.copy_(_sum_of_channels(g_states, delta_u))
            g_delta_u = _sum_of_states(B, g_states)
            g_state = decay[:, 0] * g_states[:, 0]
            g_exponent = torch.cat([start.unsqueeze(1), states[:, :-1]], dim=1).mul_(g_states).mul_(decay)
            g.A.add_((g_exponent * delta.unsqueeze(2)).sum((0, 1)))
            g_delta.copy_(g_exponent.mul_(scan.A).sum(2) + g_delta_u * u)
            g_u.copy_(g_delta_u * delta)
        return g._replace(state=g_state)


def _in_chunks(*parts: Tensor) -> list[tuple[Tensor, ...]]:
    """Views ``(b, CHUNK, …)`` of each part ``(b, l, …)``, chunk by chunk; the last may be shorter."""
    return list(zip(*(part.split(CHUNK, dim=1) for part in parts), strict=True))


def _decay(delta: Tensor, A: Tensor) -> Tensor:
    """The factor exp(Δ·A) of each state in each step: ``(b, k, d)``, ``(n, d)`` → ``(b, k, n, d)``."""
    return (delta.unsqueeze(2) * A).exp_()


def _outer(of_states: Tensor, of_channels: Tensor) -> Tensor:
    """Outer product: ``(b, k, n)``, ``(b, k, d)`` → ``(b, k, n, d)``."""
    return of_states.unsqueeze(-1) * of_channels.unsqueeze(2)


def _sum_of_states(weights: Tensor, states: Tensor) -> Tensor:
    """Weighted sum over states: ``(b, k, n)``, ``(b, k, n, d)`` → ``(b, k, d)``."""
    return torch.matmul(weights.unsqueeze(2), states).squeeze(2)


def _sum_of_channels(states: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over channels: ``(b, k, n, d)``, ``(b, k, d)`` → ``(b, k, n)``."""
    return torch.matmul(states, weights.unsqueeze(-1)).squeeze(-1)


def _recurrence(decay: Tensor, inputs: Tensor, start: Tensor, backwards: bool = False) -> Tensor:
    """Compute ``h_t = decay_t · h_{t−1} + inputs_t`` along a chunk, a multiple of `ROW`, within ``inputs``.

    Args:
        decay: ``(b, k, n, d)``.
        inputs: ``(b, k, n, d)``; overwritten.
        start: ``(b, n, d)``, the state before the first step.
        backwards: whether time runs from the last step to the first.

    Returns:
        The states ``(b, k, n, d)``.
    """
    h, factors = (part.unflatten(1, (-1, ROW)) for part in (inputs, decay))
    left = factors.clone()  # of the state before a row, after each of its steps
    rows, steps = (range(n)[:: -1 if backwards else 1] for n in h.shape[1:3])
    for previous, step in pairwise(steps):
        h[:, :, step].addcmul_(factors[:, :, step], h[:, :, previous])
        left[:, :, step].mul_(left[:, :, previous])
    for row in rows:
        h[:, row].addcmul_(left[:, row], start.unsqueeze(1))
        start = h[:, row, steps[-1]]
    return inputs
