"""A learned timbre space: a small network on cepstra in which one instrument is one direction.

The network of SS-VQ-VAE's evaluation (Cífka et al., arXiv 2102.05749, section 4.2): four convolution
blocks over 12 mel cepstra, average over time, 64 numbers. `metrics.timbre_space.training` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metrics.functional.spectra import mfcc

N_CEPSTRA = 12
EMBEDDING_SIZE = 64
KERNELS = (4, 4, 4, 2)
"""Kernel and pooling of each block; together they need `MIN_FRAMES`."""
MIN_FRAMES = 128
"""Frames (31.25 ms each) that one embedding needs at least: 4 s."""
WINDOW_HOP_FRAMES = 64
"""Step between the windows whose distribution KAD and the Fréchet distance compare: 2 s."""


class TimbreNetwork(nn.Module):
    """Cepstra to a timbre embedding; 44,800 weights as in the source, and the cepstra's mean and scale."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_CEPSTRA, 1))
        self.register_buffer("scale", torch.ones(N_CEPSTRA, 1))
        sizes = (N_CEPSTRA, *[EMBEDDING_SIZE] * len(KERNELS))
        self.blocks = nn.Sequential(*map(_block, sizes[:-1], sizes[1:], KERNELS))

    def forward(self, cepstra: Tensor) -> Tensor:
        """``(B, 12, N)`` cepstra, N at least `MIN_FRAMES`, to ``(B, 64)``."""
        return self.blocks((cepstra - self.mean) / self.scale).mean(-1)


def _block(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2),
        nn.BatchNorm1d(n_out),
        nn.ReLU(),
        nn.MaxPool1d(kernel),
    )


@dataclass(frozen=True)
class TimbreSpace:
    """A trained timbre network with a linear probe that names the instrument of an embedding."""

    network: TimbreNetwork
    probe: nn.Linear
    instruments: tuple[str, ...]
    """Names of the probe's classes."""
    sample_rate: int

    @torch.inference_mode()
    def embed(self, audio: Tensor) -> Tensor:
        """One embedding of each whole clip: ``(B, T)`` to ``(B, 64)``."""
        return self.network.eval()(cepstra(audio, self.sample_rate))

    @torch.inference_mode()
    def embed_windows(self, audio: Tensor) -> Tensor:
        """Embeddings of 4 s windows every 2 s: ``(B, T)`` to ``(B, W, 64)``."""
        windows = cepstra(audio, self.sample_rate).unfold(-1, MIN_FRAMES, WINDOW_HOP_FRAMES)
        flat = windows.transpose(1, 2).flatten(0, 1)
        return self.network.eval()(flat).unflatten(0, windows.shape[0:3:2])

    @torch.inference_mode()
    def name_instruments(self, audio: Tensor) -> list[str]:
        """The instrument that the probe hears in each clip of ``(B, T)``."""
        return [self.instruments[int(i)] for i in self.probe(self.embed(audio)).argmax(-1)]


def cepstra(audio: Tensor, sample_rate: int) -> Tensor:
    """Cepstra 1 to 12 of ``(B, T)`` audio, repeated until the network can take them: ``(B, 12, N)``."""
    found = mfcc(audio, sample_rate)[:, 1:]
    return found.repeat(1, 1, -(-MIN_FRAMES // found.shape[-1]))


def triplet_timbre_distance(preds: Tensor, target: Tensor, space: TimbreSpace) -> Tensor:
    """Cosine distance of embeddings: ``1 − cos(e(preds), e(target))`` for ``(B, T)`` audio: ``(B,)``.

    No unit, range [0, 1] (the embedding is not negative), lower is better. Source: SS-VQ-VAE, arXiv
    2102.05749, section 4.2; copying the input scores .37 there, the system .21. NaN where one is silent.
    """
    distance = embedding_distance(space.embed(preds), space.embed(target))
    audible = (preds.abs().amax(-1) > 0) & (target.abs().amax(-1) > 0)
    return torch.where(audible, distance, torch.nan)


def embedding_distance(preds: Tensor, target: Tensor) -> Tensor:
    """``1 − cos`` of ``(B, 64)`` embeddings: ``(B,)``, exactly 0 or more (rounding would go below)."""
    return (1.0 - torch.nn.functional.cosine_similarity(preds, target)).clamp_min(0.0)


def instrument_accuracy(preds: Tensor, target_instruments: Sequence[str], space: TimbreSpace) -> Tensor:
    """1 where the probe hears the wanted instrument in ``preds`` ``(B, T)``, else 0: ``(B,)``.

    Range [0, 1], higher is better. Silence is no instrument and scores 0.
    """
    heard = space.name_instruments(preds)
    right = torch.tensor([float(h == wanted) for h, wanted in zip(heard, target_instruments, strict=True)])
    return right * (preds.abs().amax(-1) > 0).cpu()
