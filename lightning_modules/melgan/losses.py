"""The losses of MelGAN besides those of its discriminators (`layers.adversarial`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity


@dataclass
class LossWeights:
    """Weight of each term of the generator; a term of weight 0 is only logged, under the same name."""

    adversarial: float = 1.0
    """`AdversarialLoss.generator` of the discriminators' logits."""
    feature_matching: float = 10.0
    """`layers.adversarial.feature_matching` of the discriminators' features."""
    stft: float = 0.0
    """Multi-resolution STFT distance to the real audio, which teaches long before discriminators can."""


@dataclass
class StyleLossWeights:
    """Weight of each term of the mel translator; a term of weight 0 is only logged, under the same name."""

    style_adversarial: float = 1.0
    """The adversarial loss of the critic of three joined chunks."""
    travel: float = 10.0
    """`travel`: how the differences between the chunks of a clip change."""
    margin: float = 10.0
    """`margin`: without it the siamese network could give all chunks the same vector."""
    identity: float = 0.5
    """L1 distance of frames of the target domain to their translation."""


@dataclass
class MatchingWeights:
    """Weight of each term in the optimisation of a waveform."""

    mel: float = 1.0
    """Distance of the statistics of mel frames to the reference's."""
    statistics: float = 1.0
    """Distance of the statistics of the discriminators' features to the reference's."""
    content: float = 0.1
    """Distance of the content layers' features to the source's; another timbre changes them, too."""


def travel(source: Tensor, translated: Tensor) -> Tensor:
    """Transformation vector loss: how translation changes the vectors from chunk to chunk.

    It is the squared length of the change minus the cosine (TraVeLGAN, Amodio and Krishnaswamy, arXiv
    1902.09631, equation 3). A translation may move every chunk, but must keep how the chunks of a clip
    differ, which is what is played. At best it is −1.

    Args:
        source: ``(B, K, E)`` embeddings of the K chunks of each clip.
        translated: ``(B, K, E)`` of their translations.
    """
    before, after = _differences(source), _differences(translated)
    return ((before - after).square().mean(-1) - cosine_similarity(before, after, dim=-1)).mean()


def margin(embeddings: Tensor, distance: float = 2.0) -> Tensor:
    """max(0, distance − ‖difference‖)², mean over the pairs of chunks of a clip.

    Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, 2006, equation 4, for unlike
    pairs. 0 where all chunks of a clip are as far apart as ``distance``.

    Args:
        embeddings: ``(B, K, E)`` of the K chunks of each clip.
        distance: wanted between any two chunks.
    """
    # A root of 0 has no derivative, and untrained networks do give equal embeddings.
    lengths = (_differences(embeddings).square().sum(-1) + 1e-12).sqrt()
    return (distance - lengths).relu().square().mean()


def feature_distance(preds: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """‖difference‖² / ‖target‖² of each example, mean over layers, summed over examples.

    A ratio, so that all layers have equal weight whatever their scale; a sum, so that examples that are
    optimised together do not slow each other down.

    Args:
        preds: for each layer ``(B, …)``.
        target: for each layer the same shape.
    """
    ratios = [
        (a - b).flatten(1).square().sum(-1) / (b.flatten(1).square().sum(-1) + 1e-8)
        for a, b in zip(preds, target, strict=True)
    ]
    return torch.stack(ratios).mean(0).sum()


def _differences(embeddings: Tensor) -> Tensor:
    """``(B, K, E)`` → ``(B, K · (K − 1) / 2, E)``: the vector from each chunk to each later one."""
    pairs = combinations(range(embeddings.shape[1]), 2)
    return torch.stack([embeddings[:, j] - embeddings[:, i] for i, j in pairs], dim=1)
