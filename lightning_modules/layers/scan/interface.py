"""The selective scan: a linear recurrence whose coefficients depend on the input, at the heart of Mamba.

For every channel and each of its ``n`` states (Gu and Dao, arXiv 2312.00752, equations 2 and 4, with the
simplified discretisation of B in the authors' code)::

    h_t = exp(Δ_t · A) · h_{t−1} + Δ_t · B_t · u_t
    y_t = Σ_n C_t · h_t

Δ > 0 is the duration of a step and A < 0 the rate at which a state decays in that time; B is the gain of the
input in a state, C the gain of a state in the output. The input ``u`` is the paper's x.

One function has three implementations, which tests hold equal:

===============  ============================================================================================
`compiled_scan`  Numba, on CPUs
`cuda_scan`      the kernels of the `mamba_ssm` package, where it is installed
`chunked_scan`   PyTorch alone, on any device
===============  ============================================================================================

All of them keep inputs, output and a few states in memory, whatever the length: the backward pass computes
the states anew. Shape letters are those of the authors' code: ``b`` examples, ``l`` steps, ``d`` channels,
``n`` states of a channel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.layers.scan.arguments import Scanned
from lightning_modules.layers.scan.chunked import chunked_scan
from lightning_modules.layers.scan.compiled import compiled_scan
from lightning_modules.layers.scan.cuda import cuda_scan, has_mamba_ssm
from lightning_modules.layers.single_precision import in_float32


@in_float32
def selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None = None
) -> Scanned:
    """Scan a block of any length by the fastest implementation for the device of the tensors.

    States are kept in float32 also where the input is in half precision.

    Args:
        u: ``(b, l, d)`` input.
        delta: ``(b, l, d)`` duration Δ of each step, ≥ 0; at 0 the state stays as it is.
        A: ``(d, n)`` exponent of the decay per unit of Δ, ≤ 0.
        B: ``(b, l, n)`` gain of the input in each state.
        C: ``(b, l, n)`` gain of each state in the output.
        state: ``(b, d, n)`` state before the first step, such as the last one of the block before; default
            zeros.

    Returns:
        The output, and the state after the last step. `cuda_scan` gives that state no gradient. Gradients
        themselves have none: a second derivative, as of a gradient penalty, is a RuntimeError.
    """
    if u.is_cuda and state is None and u.dtype != torch.float64 and has_mamba_ssm():
        return cuda_scan(u, delta, A, B, C)
    if u.device.type == "cpu":
        return compiled_scan(u, delta, A, B, C, state)
    return chunked_scan(u, delta, A, B, C, state)
