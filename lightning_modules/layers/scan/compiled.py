"""The selective scan on a CPU: a PyTorch operator around kernels that Numba compiles.

The operator takes and gives what `Prepared` holds. Besides the output and the last state its forward pass
returns the state before each chunk, ``(b, k, n, d)``: from these the backward pass computes all others anew.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.layers.scan.arguments import Prepared, Scanned, prepared

CHUNK = 64
"""Steps between two states that are kept for the backward pass."""


def compiled_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None = None
) -> Scanned:
    """Compute `selective_scan` on a CPU."""
    y, last, _ = torch.ops.timbre.selective_scan(*prepared(u, delta, A, B, C, state))
    return Scanned(y.to(u.dtype), last.transpose(1, 2))


# Defined by hand: the decorator that writes such a schema imports PyTorch's compiler, for seconds.
torch.library.define(
    "timbre::selective_scan",
    "(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor state) -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "timbre::selective_scan_backward",
    "(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor starts, Tensor g_y, Tensor g_last)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)


@torch.library.impl("timbre::selective_scan", "CPU")
def _forward(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`Prepared` → y ``(b, l, d)``, last state ``(b, n, d)``, states before each chunk ``(b, k, n, d)``."""
    from lightning_modules.layers.scan import numba_kernels  # imports Numba

    scan = Prepared(*arguments)
    y, last, starts = torch.empty_like(scan.u), scan.state.clone(), _starts(scan)
    arrays = (part.detach().numpy() for part in (*scan[:5], last, y, starts))
    forward: Any = numba_kernels.forward  # whose type says nothing of what Numba compiles it for
    forward(*arrays, CHUNK)
    return y, last, starts


@torch.library.register_fake("timbre::selective_scan")
def _(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    scan = Prepared(*arguments)
    return torch.empty_like(scan.u), torch.empty_like(scan.state), _starts(scan)


@torch.library.impl("timbre::selective_scan_backward", "CPU")
def _backward(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Inputs, starts and the gradients of y and of the last state → the gradients of `Prepared`."""
    from lightning_modules.layers.scan import numba_kernels

    *scan, g_y, g_last = tensors
    gradients = [
        *(torch.empty_like(part) for part in scan[:5]),
        g_last.clone(memory_format=torch.contiguous_format),
    ]
    *of_inputs, of_state = (part.numpy() for part in gradients)
    backward: Any = numba_kernels.backward
    arrays = (part.detach().numpy() for part in scan)
    backward(*arrays, CHUNK, g_y.detach().contiguous().numpy(), of_state, *of_inputs)
    return tuple(gradients)


@torch.library.register_fake("timbre::selective_scan_backward")
def _(*tensors: Tensor) -> tuple[Tensor, ...]:
    *inputs, _, _, g_last = tensors
    return tuple(torch.empty_like(part) for part in (*inputs, g_last))


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:5], output[2])


@once_differentiable
def _gradients(ctx: Any, g_y: Tensor, g_last: Tensor, _: Tensor) -> tuple[Tensor, ...]:
    return torch.ops.timbre.selective_scan_backward(*ctx.saved_tensors, g_y, g_last)


torch.library.register_autograd("timbre::selective_scan", _gradients, setup_context=_save)


def _starts(scan: Prepared) -> Tensor:
    """Room for the state before each chunk."""
    return scan.u.new_empty(len(scan.u), -(-scan.u.shape[1] // CHUNK), *scan.state.shape[1:])
