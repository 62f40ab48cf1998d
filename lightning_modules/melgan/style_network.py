"""Networks for unpaired translation of mel frames: a U-Net, a critic of joined chunks, a siamese encoder.

All three see a spectrogram as columns: one-dimensional convolutions over time whose channels are the mel
bands, so that a filter is as high as the spectrogram (MelGAN document, question 2). Kernels and strides
are those of MelGAN-VC (Pasini, arXiv 1910.03713), on which the document's style transfer builds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2
"""The slope of every LeakyReLU for negative input."""
NEARLY_1 = 0.99
"""Limit of the inverse of tanh: 0.6 dB from the ends of the range, where it still has a gradient."""
N_CHUNKS = 3
"""Number of chunks of a clip, which are translated one by one and judged joined."""
STRIDE = 4
"""Stride of each network as a whole; chunks are multiples of it."""


def split(mel: Tensor) -> Tensor:
    """Split clips ``(B, M, 3 · N)`` into chunks ``(3 · B, M, N)``, those of one clip one after the other."""
    batch, n_mels, n_frames = mel.shape
    chunks = mel.reshape(batch, n_mels, N_CHUNKS, n_frames // N_CHUNKS)
    return chunks.transpose(1, 2).flatten(0, 1)


def join(chunks: Tensor) -> Tensor:
    """Join the chunks that `split` made: ``(3 · B, M, N)`` → ``(B, M, 3 · N)``."""
    clips = chunks.unflatten(0, (-1, N_CHUNKS)).transpose(1, 2)
    return clips.flatten(2, 3)


class MelTranslator(nn.Module):
    """Mel frames of one domain → mel frames of another, both in [−1, 1].

    The input is the outermost skip. To it the layers add a change, which is a filter that varies with time,
    as mel frames are logarithms, and which begins near 0::

        mel ──────────────────────────── skip ─────────────────────────────► + ─► tanh
        Conv 3 ─┬───────────────────── skip ─────────────────────► Conv 1 ──┘
                └► Conv 9, ½ ─┬─────── skip ───────► ×2, Conv 9 ────┘
                              └► Conv 7, ½ ─► ×2, Conv 7 ┘

    Args:
        n_mels: bands.
        channels: of every inner layer.
    """

    def __init__(self, n_mels: int = 80, channels: int = 256) -> None:
        super().__init__()
        self.encoder_1 = nn.Conv1d(n_mels, channels, 3, padding=1)
        self.encoder_2 = nn.Conv1d(channels, channels, 9, stride=2, padding=4)
        self.bottleneck = nn.Conv1d(channels, channels, 7, stride=2, padding=3)
        self.decoder_2 = nn.Conv1d(channels, channels, 7, padding=3)
        self.decoder_1 = nn.Conv1d(2 * channels, channels, 9, padding=4)
        self.head = nn.Conv1d(2 * channels, n_mels, 1)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, mel: Tensor) -> Tensor:
        """``(B, M, N)`` → ``(B, M, N)``, for any N; silence follows the end."""
        n_frames = mel.shape[-1]
        padded = pad(mel, (0, -n_frames % STRIDE), value=-1.0)
        skip_1 = leaky_relu(self.encoder_1(padded), SLOPE)
        skip_2 = leaky_relu(self.encoder_2(skip_1), SLOPE)
        x = leaky_relu(self.bottleneck(skip_2), SLOPE)
        x = leaky_relu(self.decoder_2(interpolate(x, scale_factor=2)), SLOPE)
        x = leaky_relu(self.decoder_1(interpolate(torch.cat([x, skip_2], 1), scale_factor=2)), SLOPE)
        change = self.head(torch.cat([x, skip_1], 1))
        return torch.tanh(padded.clamp(-NEARLY_1, NEARLY_1).atanh() + change)[..., :n_frames]


class ChunkCritic(nn.Module):
    """Judges clips of three joined chunks, and with them the joins; every logit sees 23 frames.

    Weights are spectrally normalised (Miyato et al., arXiv 1802.05957).

    Args:
        n_mels: bands.
        channels: of every inner layer.
    """

    def __init__(self, n_mels: int = 80, channels: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv1d(n_mels, channels, 3, padding=1)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv1d(channels, channels, 9, stride=2, padding=4)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv1d(channels, channels, 7, stride=2, padding=3)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv1d(channels, 1, 1)),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """``(B, M, N)`` → logits ``(B, 1, N / 4)``, high for clips of the target domain."""
        return self.layers(mel)


class SiameseEncoder(nn.Module):
    """Embeds a chunk as a vector; differences of vectors tell how chunks differ (a siamese network).

    Args:
        n_mels: bands.
        chunk_frames: frames of every chunk, a multiple of 4; the vector depends on when in a chunk notes
            sound.
        channels: of every inner layer.
        size: length of the vector.
    """

    def __init__(
        self, n_mels: int = 80, chunk_frames: int = 24, channels: int = 256, size: int = 128
    ) -> None:
        super().__init__()
        self.chunk_frames = chunk_frames
        self.layers = nn.Sequential(
            nn.Conv1d(n_mels, channels, 9, padding=4),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(channels, channels, 9, stride=2, padding=4),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(channels, channels, 7, stride=2, padding=3),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(channels * chunk_frames // STRIDE, size),
        )

    def forward(self, chunks: Tensor) -> Tensor:
        """``(B, M, chunk_frames)`` → ``(B, size)``."""
        return self.layers(chunks)
