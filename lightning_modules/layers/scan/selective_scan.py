"""The selective scan: a recurrence whose coefficients depend on the input, at the heart of Mamba.

For every channel ``c`` and each of its ``S`` states (Gu and Dao, arXiv 2312.00752, equations 2 and 4, with
the simplified discretisation of the authors' code):

    state_t = exp(delta_t · decay) · state_{t−1} + delta_t · u_t · write_t
    y_t     = Σ_s read_t · state_t

``delta`` > 0 says how long a step lasts, ``decay`` < 0 (the paper's A) how fast a state fades in that time,
``write`` and ``read`` (its B and C) which states take the input in and which are heard. One function, three
implementations, tested to be equal:

=============  ==============================================================================================
`compiled`     Numba, on CPUs
`cuda`         the kernels of the `mamba_ssm` package, where it is installed
`chunked`      PyTorch alone, anywhere
=============  ==============================================================================================

All need memory for inputs, output and a few states, whatever the length: states are computed anew for the
gradient. Letters: ``B`` examples, ``T`` steps, ``C`` channels, ``S`` states of a channel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.layers.scan.arguments import Scanned
from lightning_modules.layers.scan.chunked import chunked
from lightning_modules.layers.scan.compiled import compiled
from lightning_modules.layers.scan.cuda import has_kernels, kernels
from lightning_modules.layers.single_precision import in_float32


@in_float32
def selective_scan(
    u: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, state: Tensor | None = None
) -> Scanned:
    """Scan a block of any length, by the fastest implementation there is for where the tensors are.

    States are kept in float32 also where the input is in half precision.

    Args:
        u: ``(B, T, C)`` input.
        delta: ``(B, T, C)`` duration of each step, ≥ 0; at 0 nothing fades and nothing is taken in.
        decay: ``(C, S)`` exponent of the fading per unit of delta, ≤ 0.
        write: ``(B, T, S)`` how much of the input each state takes in.
        read: ``(B, T, S)`` how much of each state is heard.
        state: ``(B, C, S)`` before the first step, such as an earlier block's; default zeros.

    Returns:
        The output, and the state after the last step. With `cuda` that state has no gradient.
    """
    if u.is_cuda and state is None and u.dtype != torch.float64 and has_kernels():
        return kernels(u, delta, decay, write, read)
    if u.device.type == "cpu":
        return compiled(u, delta, decay, write, read, state)
    return chunked(u, delta, decay, write, read, state)
