"""The selective scan in PyTorch alone: it runs anywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_modules.layers.scan.arguments import Prepared, Scanned, prepared

ROW = 8
"""Steps of a row,"""
CHUNK = 8 * ROW
"""and of a chunk, whose rows are scanned at the same time."""


def chunked(
    u: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, state: Tensor | None = None
) -> Scanned:
    """`selective_scan` in PyTorch: chunk after chunk, the rows of a chunk in parallel.

    Every row is scanned from a state of 0, all rows at once; then what is left of the state before each row
    is added, row after row. Fading factors are only ever multiplied, never divided by, so nothing overflows
    however fast states fade. (A cumulative sum of input / fading, a single operation, overflows where the
    states of a chunk fade by more than e⁻⁸⁸, and would bound its length.)
    """
    padding = (0, 0, 0, -u.shape[1] % ROW)  # steps that last no time change no state
    padded = (pad(x, padding) for x in (u, delta, write, read))
    u_padded, delta, write, read = padded
    y, last = _Chunked.apply(*prepared(u_padded, delta, decay, write, read, state))
    return Scanned(y[:, : u.shape[1]].to(u.dtype), last.transpose(1, 2))


class _Chunked(torch.autograd.Function):
    """Keeps the state before each chunk, and computes those within it anew for the gradient."""

    @staticmethod
    def forward(ctx: Any, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """`Prepared` → y ``(B, T, C)`` and last state ``(B, S, C)``."""
        scan, starts = Prepared(*arguments), []
        state, y = scan.state, torch.empty_like(scan.u)
        for u, delta, write, read, heard in _in_chunks(scan.u, scan.delta, scan.write, scan.read, y):
            starts.append(state)
            states = _recurrence(_fading(delta, scan.decay), _outer(write, delta * u), state)
            heard.copy_(_sum_of_states(read, states))
            state = states[:, -1].clone()
        ctx.save_for_backward(*arguments, *starts)
        return y, state.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Gradients of y and of the last state → of each part of `Prepared`."""
        g_y, g_state = gradients
        scan, starts = Prepared(*ctx.saved_tensors[:6]), ctx.saved_tensors[6:]
        g = Prepared(*(torch.zeros_like(part) for part in scan))
        chunks = _in_chunks(*scan[:2], *scan[3:5], g_y, *g[:2], *g[3:5])
        for start, chunk in zip(reversed(starts), reversed(chunks), strict=True):
            u, delta, write, read, g_heard, g_u, g_delta, g_write, g_read = chunk
            fading, taken_in = _fading(delta, scan.decay), delta * u
            states = _recurrence(fading, _outer(write, taken_in), start)
            g_read.copy_(_sum_of_channels(states, g_heard))
            # A state is heard in its own step, and by way of the next step's state.
            to_next = torch.cat([fading[:, 1:], torch.ones_like(fading[:, :1])], dim=1)
            g_states = _recurrence(to_next, _outer(read, g_heard), g_state, backwards=True)
            g_write.copy_(_sum_of_channels(g_states, taken_in))
            g_taken_in = _sum_of_states(write, g_states)
            g_state = fading[:, 0] * g_states[:, 0]
            g_exponent = torch.cat([start.unsqueeze(1), states[:, :-1]], dim=1).mul_(g_states).mul_(fading)
            g.decay.add_((g_exponent * delta.unsqueeze(2)).sum((0, 1)))
            g_delta.copy_(g_exponent.mul_(scan.decay).sum(2) + g_taken_in * u)
            g_u.copy_(g_taken_in * delta)
        return g._replace(state=g_state)


def _in_chunks(*parts: Tensor) -> list[tuple[Tensor, ...]]:
    """Views ``(B, CHUNK, …)`` of ``(B, T, …)``, all parts' together; the last may be shorter."""
    return list(zip(*(part.split(CHUNK, dim=1) for part in parts), strict=True))


def _fading(delta: Tensor, decay: Tensor) -> Tensor:
    """What a step leaves of each state: ``(B, K, C)``, ``(S, C)`` → ``(B, K, S, C)``, in [0, 1]."""
    return (delta.unsqueeze(2) * decay).exp_()


def _outer(of_states: Tensor, of_channels: Tensor) -> Tensor:
    """``(B, K, S)``, ``(B, K, C)`` → ``(B, K, S, C)``."""
    return of_states.unsqueeze(-1) * of_channels.unsqueeze(2)


def _sum_of_states(weights: Tensor, states: Tensor) -> Tensor:
    """``(B, K, S)``, ``(B, K, S, C)`` → ``(B, K, C)``."""
    return torch.matmul(weights.unsqueeze(2), states).squeeze(2)


def _sum_of_channels(states: Tensor, weights: Tensor) -> Tensor:
    """``(B, K, S, C)``, ``(B, K, C)`` → ``(B, K, S)``."""
    return torch.matmul(states, weights.unsqueeze(-1)).squeeze(-1)


def _recurrence(fading: Tensor, inputs: Tensor, start: Tensor, backwards: bool = False) -> Tensor:
    """``x_k = fading_k · x_{k−1} + inputs_k`` along ``K``, a multiple of `ROW`; overwrites ``inputs``.

    Args:
        fading: ``(B, K, S, C)``.
        inputs: ``(B, K, S, C)``.
        start: ``(B, S, C)``, before the first step.
        backwards: whether the last step is the first.

    Returns:
        ``(B, K, S, C)``.
    """
    x, factors = (part.unflatten(1, (-1, ROW)) for part in (inputs, fading))
    left = factors.clone()  # of the state before a row, after each of its steps
    rows, steps = (range(n)[:: -1 if backwards else 1] for n in x.shape[1:3])
    for previous, step in pairwise(steps):
        x[:, :, step].addcmul_(factors[:, :, step], x[:, :, previous])
        left[:, :, step].mul_(left[:, :, previous])
    for row in rows:
        x[:, row].addcmul_(left[:, row], start.unsqueeze(1))
        start = x[:, row, steps[-1]]
    return inputs
