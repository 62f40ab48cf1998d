"""The weighted sum of loss terms, each of which has one name in config, weights and log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def weighted_sum(terms: Mapping[str, Tensor], weights: Any) -> Tensor:
    """Sum every term times the weight of its name; this is the only place where weights are applied.

    Terms of weight 0 are left out and not multiplied by 0, as terms that are only logged may be infinite.

    Args:
        terms: scalars by name.
        weights: an architecture's ``LossWeights``, with a field of that name for each term.
    """
    factors = {name: getattr(weights, name) for name in terms}
    return torch.stack(
        [factors[name] * term if factors[name] else torch.zeros_like(term) for name, term in terms.items()]
    ).sum()
