"""How terms become a loss: each has one name, from the config to the weight to the log."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def weighted_sum(terms: Mapping[str, Tensor], weights: object) -> Tensor:
    """Sum the terms, each times the weight of its name; weights are applied nowhere else.

    A term of weight 0 is left out and not multiplied, because a term that is only measured may be infinite.

    Args:
        terms: scalars by name.
        weights: an architecture's ``LossWeights``, with a field of that name for each term.

    Returns:
        The loss, a scalar.
    """
    factors = {name: getattr(weights, name) for name in terms}
    return torch.stack(
        [factors[name] * term if factors[name] else torch.zeros_like(term) for name, term in terms.items()]
    ).sum()
