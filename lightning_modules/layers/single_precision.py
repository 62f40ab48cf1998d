"""What is computed in float32 where networks run in mixed precision: transforms, phases, logarithms."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_float32(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function or method see float32 for what is narrower, and multiply in float32; float64 stays.

    bfloat16 has 8 bits of mantissa: a phase would be right to 1/256 of a turn, a quiet band's energy be lost.
    """

    @wraps(function)
    def computed(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        device = next((part.device.type for part in args if isinstance(part, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*map(widened, args), **{name: widened(part) for name, part in kwargs.items()})
            # type: ignore[arg-type]

    return computed


def widened(value: Any) -> Any:
    """``value`` with every real tensor in it that is narrower than float32 as float32."""
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() and value.itemsize < 4 else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(widened, value))
    return value
