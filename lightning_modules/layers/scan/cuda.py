"""The selective scan on CUDA: the kernels of the `mamba_ssm` package, where it is installed."""

from __future__ import annotations

import importlib.util
from functools import cache

from torch import Tensor

from lightning_modules.layers.scan.arguments import Scanned


@cache
def has_mamba_ssm() -> bool:
    """Whether the `mamba_ssm` package is installed."""
    return importlib.util.find_spec("mamba_ssm") is not None


def cuda_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Scanned:
    """Compute `selective_scan` from a state of 0 with `mamba_ssm`, whose tensors have time last."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    u, delta, B, C = (part.transpose(1, 2).contiguous() for part in (u, delta, B, C))
    y, state = selective_scan_fn(u, delta, A.float(), B, C, return_last_state=True)
    return Scanned(y.transpose(1, 2), state)
