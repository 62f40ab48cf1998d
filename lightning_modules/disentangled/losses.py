"""The losses that separate style and content, and those of the decoder.

Shapes: ``B`` recordings in a batch, ``E`` numbers of an embedding, ``C`` instruments, ``F`` bins, ``N``
frames. Classes ``(B,)`` are indices into the list of instruments. The losses of embeddings compare the
recordings of a batch, so in data-parallel training they need those of all processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss, log_softmax, normalize

from lightning_modules.layers.single_precision import in_float32


@dataclass
class LossWeights:
    """Weight of each term; a term of weight 0 is only logged, under the same name."""

    level: float = 5.0
    """L1 distance of levels."""
    temporal: float = 1.0
    """`temporal_difference` of levels: onsets and steady tones."""
    spectral: float = 1.0
    """`spectral_difference` of levels: peaks and valleys."""
    perceptual: float = 1.0
    """`perceptual_distance` of magnitudes."""
    convergence: float = 1.0
    """`spectral_convergence` of magnitudes."""
    transfer: float = 1.0
    """The weighted sum of all terms above for a transfer and its target, where data is paired."""
    hsic: float = 1.0
    """`hsic`: the dependence of style and content."""
    info_nce: float = 0.1
    """`info_nce`: styles of one instrument are nearer to each other than to others."""
    margin: float = 0.1
    """`margin`: the styles of different instruments are apart."""
    adversarial: float = 1.0
    """`instrument_cross_entropy` of styles plus `instrument_confusion` of contents."""


def temporal_difference(preds: Tensor, target: Tensor) -> Tensor:
    """L1 distance of the differences of neighbouring frames of ``(B, F, N)``."""
    return l1_loss(preds.diff(dim=-1), target.diff(dim=-1))


def spectral_difference(preds: Tensor, target: Tensor) -> Tensor:
    """L1 distance of the differences of neighbouring bins of ``(B, F, N)``."""
    return l1_loss(preds.diff(dim=-2), target.diff(dim=-2))


def spectral_convergence(preds: Tensor, target: Tensor, floor: float = 1e-3) -> Tensor:
    """Average ‖preds − target‖ / ‖target‖ over the magnitudes of each example; silence costs 1.

    Args:
        preds: magnitudes ``(B, F, N)``.
        target: magnitudes ``(B, F, N)``.
        floor: smallest ‖target‖, a root mean square over frames: quieter targets count as silence.
    """
    error, size = ((x.square().sum(1).mean(-1) + 1e-12).sqrt() for x in (preds - target, target))
    return (error / size.clamp(min=floor)).mean()


@in_float32
def perceptual_distance(preds: Tensor, target: Tensor, mel_filters: Tensor, floor: float = 1e-4) -> Tensor:
    """L1 distance of log10 magnitudes in mel bands; 0.05 is a decibel.

    Args:
        preds: magnitudes ``(B, F, N)``.
        target: magnitudes ``(B, F, N)``.
        mel_filters: ``(bands, F)``.
        floor: added to magnitudes: −80 dB re full scale.
    """
    a, b = (torch.log10(mel_filters @ magnitude + floor) for magnitude in (preds, target))
    return l1_loss(a, b)


@in_float32
def hsic(first: Tensor, second: Tensor) -> Tensor:
    """Normalised Hilbert-Schmidt independence criterion: 0 where the two are independent, 1 where equal.

    Gretton et al., Measuring statistical dependence with Hilbert-Schmidt norms, 2005, definition 1, divided
    by the norms of both kernels (Cortes et al., Algorithms for learning kernels, 2012). Kernels are
    Gaussian, as wide as the median distance of two different recordings.

    Args:
        first: ``(B, E)``.
        second: ``(B, E')``, of the same recordings.
    """
    if len(first) < 2:
        return first.new_zeros(())
    a, b = (_centred(_gaussian_kernel(x)) for x in (first, second))
    return (a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-9)


def _gaussian_kernel(x: Tensor) -> Tensor:
    # ‖a − b‖² = ‖a‖² + ‖b‖² − 2ab: no B × B × E numbers, for thousands of patches.
    lengths = x.square().sum(-1)
    distances = (lengths[:, None] + lengths - 2 * x @ x.T).clamp(min=0)
    # The diagonal's zeros are no distances of pairs. The width gets no gradient.
    pairs = distances.detach()[~torch.eye(len(x), dtype=torch.bool, device=x.device)]
    return torch.exp(-distances / (2 * pairs.median().clamp(min=1e-9)))


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(0, keepdim=True) - kernel.mean(1, keepdim=True) + kernel.mean()


@in_float32
def info_nce(styles: Tensor, classes: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of finding a recording of the same class among all others, by cosine.

    It is the supervised contrastive loss (Khosla et al., arXiv 2004.11362, equation 2). Recordings that are
    the only one of their class are left out; where all are, the loss is 0.

    Args:
        styles: ``(B, E)``.
        classes: ``(B,)``.
        temperature: of the softmax; with small values only the nearest others count.
    """
    directions = normalize(styles, dim=-1)
    itself = torch.eye(len(styles), dtype=torch.bool, device=styles.device)
    similarity = (directions @ directions.T / temperature).masked_fill(itself, -1e9)
    same = (classes[:, None] == classes[None]) & ~itself
    n_same = same.sum(-1)
    found = (log_softmax(similarity, dim=-1) * same).sum(-1) / n_same.clamp(min=1)
    return -found.sum() / (n_same > 0).sum().clamp(min=1)


def margin(styles: Tensor, classes: Tensor, distance: float = 2.0) -> Tensor:
    """max(0, distance − d)², mean over pairs of classes; d is the distance of the classes' mean styles.

    The margin of 2 is the document's. It is for embeddings divided by √E, so that a class's mean has a length
    of at most 1. The loss is 0 where there is only one class.

    Args:
        styles: ``(B, E)``.
        classes: ``(B,)``.
        distance: wanted between any two classes.
    """
    means = torch.stack([styles[classes == c].mean(0) for c in classes.unique()]) / math.sqrt(
        styles.shape[-1]
    )
    if len(means) < 2:
        return styles.sum() * 0
    first, second = torch.triu_indices(len(means), len(means), offset=1, device=styles.device)
    # A root of 0 has no derivative.
    apart = ((means[first] - means[second]).square().sum(-1) + 1e-12).sqrt()
    return (distance - apart).relu().square().mean()


def instrument_cross_entropy(logits: Tensor, classes: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of the instrument among those that are ``present``; chance is ln of their number.

    Args:
        logits: ``(B, C)``.
        classes: ``(B,)``.
        present: ``(C,)`` boolean, the instruments of the training split.
    """
    return cross_entropy(logits.masked_fill(~present, -1e9), classes)


def instrument_confusion(logits: Tensor, present: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the uniform distribution from the discriminator's; 0 for a mere guess.

    It is the domain confusion loss (Tzeng et al., Simultaneous Deep Transfer Across Domains and Tasks, arXiv
    1510.02192) less its constant. Unlike a reversed gradient it is bounded from below, and it cannot be
    lowered by making the discriminator sure of the wrong instrument. The arguments are those of
    `instrument_cross_entropy`.
    """
    log_shares = log_softmax(logits[:, present], dim=-1)
    return -log_shares.mean() - math.log(log_shares.shape[-1])
