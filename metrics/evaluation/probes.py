"""Probes: what a fresh classifier can read from embeddings.

A model's own discriminator at chance says little about the embeddings: it may have stopped learning.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

HIDDEN = 64
N_STEPS = 300


def probe_accuracy(known: Tensor, labels: Tensor, held_out: Tensor, held_out_labels: Tensor) -> float:
    """Share of held-out embeddings whose label a fresh classifier with one hidden layer predicts, in [0, 1].

    The classifier is trained on ``known`` from the same initial weights each time; the global random state is
    left alone.

    Args:
        known: ``(S, E)`` embeddings to learn from.
        labels: ``(S,)`` long.
        held_out: ``(S', E)`` embeddings of other recordings.
        held_out_labels: ``(S',)`` long.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        classes, targets = labels.clone().unique(return_inverse=True)
        mean, std = known.mean(0), known.std(0).clamp(min=1e-6)
        seen, asked = (((x - mean) / std).detach().clone() for x in (known, held_out))
        probe = nn.Sequential(
            nn.Linear(seen.shape[1], HIDDEN), nn.GELU(), nn.Linear(HIDDEN, len(classes))
        ).to(seen.device)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=3e-3, weight_decay=0.1)
        for _ in range(N_STEPS):
            optimizer.zero_grad()
            cross_entropy(probe(seen), targets).backward()
            optimizer.step()
        named = classes[probe(asked).argmax(-1)]
    return float((named == held_out_labels).float().mean())


def chance(labels: Tensor) -> float:
    """The share of the most frequent label: the accuracy of a classifier that ignores its input."""
    return float(labels.unique(return_counts=True)[1].max() / len(labels))
