"""The articulation of the target instrument on notes that another one plays, learnt from pairs of renderings.

A bow starts a note later than a hammer does, and the note before it rings on meanwhile. At seven notes a
second, 20 ms too early are 15 % of the frames on the wrong note. A small network therefore predicts from a
source's features, for every frame, at which moment of the source the instrument would be, and how much louder
or softer it would be. Untrained it changes nothing, so an instrument known from recordings alone is played as
the source was.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from datamodules.batch import FRAME_RATE_HZ, Features
from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.loudness_mapping import SILENCE_DB, loud_level_db, sounding_frames
from lightning_modules.ddsp.pitch_repair import hz_to_midi, midi_to_hz, repair_pitch

RIGHT_SEMITONES = 0.5
"""The largest error of a right pitch: the quarter tone of raw pitch accuracy."""
VOICED_CONFIDENCE = 0.5
MIN_LIKELIHOOD = 1e-4
"""Likelihood of a frame in which no moment of the source has the right pitch; it has no gradient."""

HISS_DB = (25.0, 70.0)
"""The range of levels below the loudest frames from which the hiss of a room is drawn."""
WANDERING_FRAMES = 10
"""Frames for which a tracker stays with one pitch in hiss."""


class Articulated(NamedTuple):
    """The prediction for ``N`` frames, each with ``K`` moments of the source to choose from."""

    moment_logits: Tensor
    """``(B, K, N)``"""
    candidates_midi: Tensor
    """``(B, K, N)`` the source's pitch at these moments"""
    loudness_db: Tensor
    """``(B, N)``"""


class ArticulationTerms(NamedTuple):
    """The unweighted terms of an articulation, scalars with the names of `losses.LossWeights`."""

    articulation_pitch: Tensor
    articulation_loudness: Tensor


class Articulation(nn.Module):
    """Source features → the pitch and loudness with which the instrument would play them.

    The input is the source's pitch around a frame *relative* to the pitch in it, so that the network knows
    intervals and no notes, and the loudness relative to the clip's loud level. The mean of its first layers
    over the frames of the clip that sound is its context, which tells a plucked source from a blown one.

    Args:
        hidden_size: channels.
        later_ms: how much later than the source the instrument may start a note.
        earlier_ms: how much earlier it may start one, where the source's attack is slow.
    """

    _STRIDE = 4
    """Frames between the moments whose pitch is in the input."""
    _MAX_CHANGE_DB = 12.0
    _REACH = 24
    """Frames that the convolutions look to either side."""
    _LOWEST_DB = -60.0
    """Loudness relative to the loud level below which all frames look the same."""
    _INTERVAL = 2.0
    """Semitones beyond which all intervals look the same."""

    def __init__(self, hidden_size: int = 48, later_ms: float = 96.0, earlier_ms: float = 64.0) -> None:
        super().__init__()
        self.n_later = round(later_ms / 1000 * FRAME_RATE_HZ)
        self.n_earlier = round(earlier_ms / 1000 * FRAME_RATE_HZ)
        n_moments = self.n_later + self.n_earlier + 1
        self.encoder = nn.Sequential(
            _convolution(len(range(0, n_moments, self._STRIDE)) + 2, hidden_size, 9, dilation=1),
            _convolution(hidden_size, hidden_size, 5, dilation=2),
        )
        self.context_mlp = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.LeakyReLU(0.1), nn.Linear(hidden_size, hidden_size)
        )
        self.dilated_convolutions = nn.Sequential(
            _convolution(hidden_size, hidden_size, 5, dilation=4),
            _convolution(hidden_size, hidden_size, 5, dilation=4),
        )
        self.head = nn.Conv1d(hidden_size, n_moments + 1, 1)
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.zero_()
            self.head.get_parameter("bias")[self.n_later] = 2.0

    def forward(self, features: Features) -> Articulated:
        """Predict how the instrument would play a source with these ``(B, N)`` features."""
        midi = hz_to_midi(repair_pitch(features.f0_hz, features.f0_confidence))
        candidates = self._moments(midi)
        interval = (candidates[:, :: self._STRIDE] - midi.unsqueeze(1)).clamp(-self._INTERVAL, self._INTERVAL)
        loudness = features.loudness_db
        relative_db = (loudness - loud_level_db(loudness)).clamp(min=self._LOWEST_DB)
        # Silence is equally far below loud and soft recordings, though its loudness has a floor.
        level = 1.0 + relative_db.masked_fill(loudness <= SILENCE_DB, self._LOWEST_DB) / 20.0
        inputs = torch.cat([interval, features.f0_confidence.unsqueeze(1), level.unsqueeze(1)], dim=1)
        hidden = self.encoder(inputs)
        context = self.context_mlp(_mean_where(sounding_frames(loudness).unsqueeze(1), hidden))
        hidden = self.dilated_convolutions(hidden + context.unsqueeze(-1))
        logits, change = self.head(hidden).split([candidates.shape[1], 1], dim=1)
        loudness_db = loudness + self._MAX_CHANGE_DB * torch.tanh(change.squeeze(1))
        return Articulated(logits, candidates, loudness_db.clamp(min=LOUDNESS_FLOOR_DB))

    def _moments(self, midi: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, K, N)``: pitches from ``n_later`` frames before to ``n_earlier`` after each."""
        padded = nn.functional.pad(midi.unsqueeze(1), (self.n_later, self.n_earlier), mode="replicate")
        return padded.squeeze(1).unfold(-1, self.n_later + self.n_earlier + 1, 1).transpose(1, 2)

    def articulate(self, features: Features) -> Features:
        """Replace pitch and loudness of the source's features by the likeliest ones of the instrument.

        The source is whole, so there is silence before it and after it.
        """
        predicted = self(_in_silence(features, self._REACH))
        likeliest = predicted.moment_logits.argmax(dim=1, keepdim=True)
        f0_hz = midi_to_hz(predicted.candidates_midi.gather(1, likeliest).squeeze(1))
        inside = slice(self._REACH, -self._REACH)
        return Features(f0_hz[:, inside], features.f0_confidence, predicted.loudness_db[:, inside])

    def terms(self, source: Features, target: Features) -> ArticulationTerms:
        """Compare the prediction for ``source`` with how the instrument plays the same notes.

        The pitch term is the negative log-likelihood, in nats a voiced frame, of choosing a moment with the
        right pitch. (Minus the expected error would be simpler, but its gradient vanishes where a
        right moment is unlikely: late sources were never told from early ones.) The loudness term is the mean
        absolute error in dB.
        """
        predicted = self(in_a_room(source) if self.training else source)
        target_midi = hz_to_midi(repair_pitch(target.f0_hz, target.f0_confidence)).unsqueeze(1)
        right = (predicted.candidates_midi - target_midi).abs() < RIGHT_SEMITONES
        likelihood = (predicted.moment_logits.softmax(dim=1) * right).sum(dim=1)
        voiced = target.f0_confidence >= VOICED_CONFIDENCE
        nats = -(likelihood + MIN_LIKELIHOOD).log() * voiced
        return ArticulationTerms(
            nats.sum() / voiced.sum().clamp(min=1), (predicted.loudness_db - target.loudness_db).abs().mean()
        )


def in_a_room(features: Features) -> Features:
    """Add the hiss of a room at a random level, in which a tracker finds wandering pitches.

    Renderings are silent between notes. Without this the network never saw a recording's hiss, and made notes
    of it.
    """
    loudness = features.loudness_db
    loudest = loud_level_db(loudness)
    hiss_db = loudest - HISS_DB[0] - (HISS_DB[1] - HISS_DB[0]) * torch.rand_like(loudest)
    wandering = 40.0 + 48.0 * torch.rand_like(loudness[:, ::WANDERING_FRAMES])
    wandering = wandering.repeat_interleave(WANDERING_FRAMES, dim=1)[:, : loudness.shape[1]]
    power = 10 ** (loudness / 10) + 10 ** (hiss_db / 10)
    return Features(
        f0_hz=torch.where(loudness < hiss_db, midi_to_hz(wandering), features.f0_hz),
        f0_confidence=features.f0_confidence,
        loudness_db=10 * torch.log10(power),
    )


def _in_silence(features: Features, n_frames: int) -> Features:
    """Put ``n_frames`` frames of silence before and after a source."""
    values = (None, 0.0, LOUDNESS_FLOOR_DB)  # the pitch is unvoiced there, whatever it is
    padded = (
        nn.functional.pad(part, (n_frames, n_frames), "replicate" if value is None else "constant", value)
        for part, value in zip(features, values, strict=True)
    )
    return Features(*padded)


def _mean_where(mask: Tensor, values: Tensor) -> Tensor:
    """The mean over the frames in which ``mask (B, 1, N)`` is true: ``(B, C, N)`` → ``(B, C)``."""
    return (values * mask).sum(dim=-1) / mask.sum(dim=-1)


def _convolution(n_in: int, n_out: int, kernel: int, dilation: int) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv1d(n_in, n_out, kernel, dilation=dilation, padding=padding, padding_mode="replicate"),
        nn.LeakyReLU(0.1),
    )
