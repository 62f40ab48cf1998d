"""How the instrument would speak the notes that another one plays, learnt from pairs of renderings.

A bow sets a note in later than a hammer does, and the note before it rings on meanwhile. At seven notes a
second, 20 ms too early are 15 % of the frames on the wrong note. A small network therefore looks at a
source's features and says, for every frame, which moment of the source the instrument would be at, and how
much louder or softer it would be. Untrained it changes nothing, so an instrument known from recordings
alone is played as the source was.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from datamodules.batch import FRAME_RATE_HZ, Features
from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.pitch_repair import hz_to_midi, midi_to_hz, repair_pitch

RIGHT_SEMITONES = 0.5
"""A pitch this near is right: the quarter tone of raw pitch accuracy."""
VOICED_CONFIDENCE = 0.5
MISSED = 1e-4
"""Likelihood of a frame in which no moment of the source has the right pitch: it teaches nothing."""

HISS_DB = (25.0, 70.0)
"""How far below the loudest frames the hiss of a room is drawn."""
WANDERING_FRAMES = 10
"""Frames for which a tracker stays with a pitch in hiss."""


class Spoken(NamedTuple):
    """What the network says of ``N`` frames with ``K`` moments to choose from."""

    moment_logits: Tensor
    """``(B, K, N)``"""
    candidates_midi: Tensor
    """``(B, K, N)`` the source's pitch at these moments"""
    loudness_db: Tensor
    """``(B, N)``"""


class ArticulationTerms(NamedTuple):
    """Unweighted, scalar."""

    articulation_pitch: Tensor
    articulation_loudness: Tensor


class Articulation(nn.Module):
    """Source features → the pitch and loudness with which the instrument would play them.

    The network sees the source's pitch around a frame *relative* to the pitch in it, so that it knows
    intervals and no notes, the loudness relative to the clip's loudest, and the mean of its own first layers
    over the clip, which tells a plucked source from a blown one.

    Args:
        hidden_size: channels.
        later_ms: how much later than the source the instrument may be.
        earlier_ms: how much earlier it may be, where the source is slow to speak.
    """

    _STRIDE = 4
    """Frames between the moments whose pitch the network sees."""
    _MAX_CHANGE_DB = 12.0
    _INTERVAL = 2.0
    """Semitones from which one interval is as good as another."""

    def __init__(self, hidden_size: int = 48, later_ms: float = 96.0, earlier_ms: float = 64.0) -> None:
        super().__init__()
        self.n_later = round(later_ms / 1000 * FRAME_RATE_HZ)
        self.n_earlier = round(earlier_ms / 1000 * FRAME_RATE_HZ)
        n_moments = self.n_later + self.n_earlier + 1
        self.near = nn.Sequential(
            _convolution(len(range(0, n_moments, self._STRIDE)) + 2, hidden_size, 9, dilation=1),
            _convolution(hidden_size, hidden_size, 5, dilation=2),
        )
        self.player = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.LeakyReLU(0.1), nn.Linear(hidden_size, hidden_size)
        )
        self.far = nn.Sequential(
            _convolution(hidden_size, hidden_size, 5, dilation=4),
            _convolution(hidden_size, hidden_size, 5, dilation=4),
        )
        self.head = nn.Conv1d(hidden_size, n_moments + 1, 1)
        self._change_nothing()

    def _change_nothing(self) -> None:
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.zero_()
            self.head.get_parameter("bias")[self.n_later] = 2.0

    def forward(self, features: Features) -> Spoken:
        """Say how the instrument would play a source with these ``(B, N)`` features."""
        midi = hz_to_midi(repair_pitch(features.f0_hz, features.f0_confidence))
        candidates = self._moments(midi)
        interval = (candidates[:, :: self._STRIDE] - midi.unsqueeze(1)).clamp(-self._INTERVAL, self._INTERVAL)
        loudest = torch.quantile(features.loudness_db, 0.95, dim=-1, keepdim=True)
        level = 1.0 + (features.loudness_db - loudest).clamp(min=-60.0) / 20.0
        seen = torch.cat([interval, features.f0_confidence.unsqueeze(1), level.unsqueeze(1)], dim=1)
        hidden = self.near(seen)
        hidden = self.far(hidden + self.player(hidden.mean(dim=-1)).unsqueeze(-1))
        logits, change = self.head(hidden).split([candidates.shape[1], 1], dim=1)
        change_db = self._MAX_CHANGE_DB * torch.tanh(change.squeeze(1))
        return Spoken(logits, candidates, (features.loudness_db + change_db).clamp(min=LOUDNESS_FLOOR_DB))

    def _moments(self, midi: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, K, N)``: pitch from ``n_later`` before each frame to ``n_earlier`` behind."""
        padded = nn.functional.pad(midi.unsqueeze(1), (self.n_later, self.n_earlier), mode="replicate")
        return padded.squeeze(1).unfold(-1, self.n_later + self.n_earlier + 1, 1).transpose(1, 2)

    def speak(self, features: Features) -> Features:
        """The source's features with the likeliest pitch and the loudness of each frame in their place."""
        said = self(features)
        likeliest = said.moment_logits.argmax(dim=1, keepdim=True)
        f0_hz = midi_to_hz(said.candidates_midi.gather(1, likeliest).squeeze(1))
        return Features(f0_hz, features.f0_confidence, said.loudness_db)

    def terms(self, source: Features, target: Features) -> ArticulationTerms:
        """Compare what is said of ``source`` with how the instrument plays the same notes.

        The pitch term is the negative log-likelihood, in nats a voiced frame, of choosing a moment with the
        right pitch. (Minus the expected error would be simpler, but its gradient vanishes where a
        right moment is unlikely: late sources were never told from early ones.) Loudness: mean |Δ| in dB.
        """
        said = self(in_a_room(source) if self.training else source)
        target_midi = hz_to_midi(repair_pitch(target.f0_hz, target.f0_confidence)).unsqueeze(1)
        right = (said.candidates_midi - target_midi).abs() < RIGHT_SEMITONES
        likelihood = (said.moment_logits.softmax(dim=1) * right).sum(dim=1)
        voiced = target.f0_confidence >= VOICED_CONFIDENCE
        nats = -(likelihood + MISSED).log() * voiced
        return ArticulationTerms(
            nats.sum() / voiced.sum().clamp(min=1), (said.loudness_db - target.loudness_db).abs().mean()
        )


def in_a_room(features: Features) -> Features:
    """The same played in a room: hiss, as loud as chance has it, which a tracker gives wandering pitches.

    Renderings are silent between notes. Without this a recording's hiss is nothing that the network ever saw,
    and it made notes of it.
    """
    loudness = features.loudness_db
    loudest = torch.quantile(loudness, 0.95, dim=-1, keepdim=True)
    hiss_db = loudest - HISS_DB[0] - (HISS_DB[1] - HISS_DB[0]) * torch.rand_like(loudest)
    wandering = 40.0 + 48.0 * torch.rand_like(loudness[:, ::WANDERING_FRAMES])
    wandering = wandering.repeat_interleave(WANDERING_FRAMES, dim=1)[:, : loudness.shape[1]]
    power = 10 ** (loudness / 10) + 10 ** (hiss_db / 10)
    return Features(
        f0_hz=torch.where(loudness < hiss_db, midi_to_hz(wandering), features.f0_hz),
        f0_confidence=features.f0_confidence,
        loudness_db=10 * torch.log10(power),
    )


def _convolution(n_in: int, n_out: int, kernel: int, dilation: int) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv1d(n_in, n_out, kernel, dilation=dilation, padding=padding, padding_mode="replicate"),
        nn.LeakyReLU(0.1),
    )
