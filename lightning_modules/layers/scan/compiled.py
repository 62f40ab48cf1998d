"""The selective scan on CPUs: `kernels` as a PyTorch operator with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_modules.layers.scan.arguments import Scanned, prepared

CHUNK = 64
"""Steps between two states that are kept for the gradient."""


def compiled(
    u: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, state: Tensor | None = None
) -> Scanned:
    """`selective_scan` on a CPU."""
    y, last, _ = torch.ops.timbre.selective_scan(*prepared(u, delta, decay, write, read, state))
    return Scanned(y.to(u.dtype), last.transpose(1, 2))


# Defined by hand: the decorator that writes such a schema imports PyTorch's compiler, for seconds.
torch.library.define(
    "timbre::selective_scan",
    "(Tensor u, Tensor delta, Tensor decay, Tensor write, Tensor read, Tensor state)"
    " -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "timbre::selective_scan_backward",
    "(Tensor u, Tensor delta, Tensor decay, Tensor write, Tensor read, Tensor starts, Tensor g_y,"
    " Tensor g_last) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)


@torch.library.impl("timbre::selective_scan", "CPU")
def _scan(
    u: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`Prepared` → y ``(B, T, C)``, last state ``(B, S, C)``, states before each chunk ``(B, K, S, C)``."""
    from lightning_modules.layers.scan import kernels as scan_kernels  # imports Numba

    y, last, starts = torch.empty_like(u), state.clone(), _starts(u, state)
    arrays = (part.detach().numpy() for part in (u, delta, decay, write, read, last, y, starts))
    forward: Any = scan_kernels.forward  # whose type says nothing of what Numba compiles it for
    forward(*arrays, CHUNK)
    return y, last, starts


@torch.library.register_fake("timbre::selective_scan")
def _(
    u: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(state), _starts(u, state)


@torch.library.impl("timbre::selective_scan_backward", "CPU")
def _scan_backward(
    u: Tensor,
    delta: Tensor,
    decay: Tensor,
    write: Tensor,
    read: Tensor,
    starts: Tensor,
    g_y: Tensor,
    g_last: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of y and of the last state → of u, delta, decay, write, read and state."""
    from lightning_modules.layers.scan import kernels as scan_kernels

    inputs = (u, delta, decay, write, read)
    gradients = [
        *(torch.empty_like(part) for part in inputs),
        g_last.clone(memory_format=torch.contiguous_format),
    ]
    *to_inputs, to_state = (part.numpy() for part in gradients)
    scan = (part.detach().numpy() for part in (*inputs, starts))
    backward: Any = scan_kernels.backward
    backward(*scan, CHUNK, g_y.contiguous().numpy(), to_state, *to_inputs)
    return tuple(gradients)


@torch.library.register_fake("timbre::selective_scan_backward")
def _(
    u: Tensor,
    delta: Tensor,
    decay: Tensor,
    write: Tensor,
    read: Tensor,
    starts: Tensor,
    g_y: Tensor,
    g_last: Tensor,
) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(part) for part in (u, delta, decay, write, read, g_last))


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:5], output[2])


def _gradients(ctx: Any, g_y: Tensor, g_last: Tensor, _: Tensor) -> tuple[Tensor, ...]:
    return torch.ops.timbre.selective_scan_backward(*ctx.saved_tensors, g_y, g_last)


torch.library.register_autograd("timbre::selective_scan", _gradients, setup_context=_keep)


def _starts(u: Tensor, state: Tensor) -> Tensor:
    return u.new_empty(len(u), -(-u.shape[1] // CHUNK), *state.shape[1:])
