"""Single precision within networks of mixed precision, for transforms, phases and logarithms."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_float32(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function or method compute in float32 under autocast, and widen its arguments; float64 stays.

    bfloat16 has a mantissa of 8 bits: phases would have an error of 1/256 of a turn, and the energy of quiet
    bands would be lost.
    """

    @wraps(function)
    def computed(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        device = next((part.device.type for part in args if isinstance(part, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*map(widened, args), **{name: widened(part) for name, part in kwargs.items()})
            # type: ignore[arg-type]

    return computed


def widened(value: Any) -> Any:
    """Convert a tensor, or those of a named tuple, to float32 if it is real and narrower."""
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() and value.itemsize < 4 else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(widened, value))
    return value
