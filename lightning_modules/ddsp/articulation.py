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
from lightning_modules.ddsp.pitch_repair import FRAMES_AT_ONCE, hz_to_midi, midi_to_hz, repair_pitch

RIGHT_SEMITONES = 0.5
"""The largest error of a right pitch: the quarter tone of raw pitch accuracy."""
VOICED_CONFIDENCE = 0.5
MIN_LIKELIHOOD = 1e-4
"""Likelihood of a frame in which no moment of the source has the right pitch; it has no gradient."""

HISS_DB = (25.0, 70.0)
"""The range of levels below the loudest frames from which the hiss of a room is drawn."""
WANDERING_FRAMES = 10
"""Frames for which a tracker stays with one pitch in hiss."""


class Heard(NamedTuple):
    """The input of the articulation: a source, and how loud the whole of it gets."""

    midi: Tensor
    """``(B, N)`` pitch, without the tracker's slips"""
    confidence: Tensor
    """``(B, N)``"""
    loudness_db: Tensor
    """``(B, N)``"""
    sounds: Tensor
    """``(B, N)`` bool: no rest"""
    loud_level_db: Tensor
    """``(B, 1)``"""

    def frames(self, part: slice) -> Heard:
        """Give some of the frames."""
        midi, confidence, loudness_db, sounds = (x[:, part] for x in self[:4])
        return Heard(midi, confidence, loudness_db, sounds, self.loud_level_db)


def hear(features: Features) -> Heard:
    """Prepare the features of a whole source for the articulation."""
    loudness_db = features.loudness_db
    midi = hz_to_midi(repair_pitch(features.f0_hz, features.f0_confidence))
    sounds, loud_db = sounding_frames(loudness_db), loud_level_db(loudness_db)
    return Heard(midi, features.f0_confidence, loudness_db, sounds, loud_db)


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
        heard = hear(features)
        candidates, hidden = self._encoded(heard)
        context = _sum_where(heard.sounds, hidden) / heard.sounds.sum(dim=-1, keepdim=True)
        return self._predicted(heard, candidates, hidden, context)

    def _encoded(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """The moments to choose from ``(B, K, N)``, and the output of the first layers ``(B, C, N)``."""
        candidates = self._moments(heard.midi)
        interval = candidates[:, :: self._STRIDE] - heard.midi.unsqueeze(1)
        loudness = heard.loudness_db
        relative_db = (loudness - heard.loud_level_db).clamp(min=self._LOWEST_DB)
        # Silence is equally far below loud and soft recordings, though its loudness has a floor.
        level = 1.0 + relative_db.masked_fill(loudness <= SILENCE_DB, self._LOWEST_DB) / 20.0
        interval = interval.clamp(-self._INTERVAL, self._INTERVAL)
        inputs = torch.cat([interval, heard.confidence.unsqueeze(1), level.unsqueeze(1)], dim=1)
        return candidates, self.encoder(inputs)

    def _predicted(self, heard: Heard, candidates: Tensor, hidden: Tensor, context: Tensor) -> Articulated:
        hidden = self.dilated_convolutions(hidden + self.context_mlp(context).unsqueeze(-1))
        logits, change = self.head(hidden).split([candidates.shape[1], 1], dim=1)
        loudness_db = heard.loudness_db + self._MAX_CHANGE_DB * torch.tanh(change.squeeze(1))
        return Articulated(logits, candidates, loudness_db.clamp(min=LOUDNESS_FLOOR_DB))

    def _moments(self, midi: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, K, N)``: pitches from ``n_later`` frames before to ``n_earlier`` after each."""
        padded = nn.functional.pad(midi.unsqueeze(1), (self.n_later, self.n_earlier), mode="replicate")
        return padded.squeeze(1).unfold(-1, self.n_later + self.n_earlier + 1, 1).transpose(1, 2)

    def articulate(self, features: Features) -> Features:
        """Replace pitch and loudness of the source's features by the likeliest ones of the instrument.

        The source is whole, so there is silence before it and after it. Its context is measured over all of
        it; then it is articulated, block by block, so that memory is bounded.
        """
        heard = hear(_in_silence(features, self._REACH))
        blocks = self._blocks(heard.midi.shape[1])
        sums = [
            _sum_where(heard.sounds[:, seen][:, inside], self._encoded(heard.frames(seen))[1][..., inside])
            for seen, inside in blocks
        ]
        context = torch.stack(sums).sum(dim=0) / heard.sounds.sum(dim=-1, keepdim=True)
        parts = [self._articulated(heard.frames(seen), context, inside) for seen, inside in blocks]
        f0_hz, loudness_db = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        whole = slice(self._REACH, -self._REACH)
        return Features(f0_hz[:, whole], features.f0_confidence, loudness_db[:, whole])

    def _articulated(self, heard: Heard, context: Tensor, inside: slice) -> tuple[Tensor, Tensor]:
        """The likeliest f0 in Hz and the loudness of the frames ``inside`` a block."""
        predicted = self._predicted(heard, *self._encoded(heard), context)
        likeliest = predicted.moment_logits.argmax(dim=1, keepdim=True)
        midi = predicted.candidates_midi.gather(1, likeliest).squeeze(1)
        return midi_to_hz(midi)[:, inside], predicted.loudness_db[:, inside]

    def _blocks(self, n_frames: int) -> list[tuple[slice, slice]]:
        """Blocks of frames with all that they depend on, and where the block is in there."""
        around = max(self.n_later, self.n_earlier) + self._REACH
        blocks = []
        for start in range(0, n_frames, FRAMES_AT_ONCE):
            before, stop = min(start, around), min(start + FRAMES_AT_ONCE, n_frames)
            blocks.append((slice(start - before, stop + around), slice(before, before + stop - start)))
        return blocks

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


def _sum_where(mask: Tensor, values: Tensor) -> Tensor:
    """The sum over the frames in which ``mask (B, N)`` is true: ``(B, C, N)`` → ``(B, C)``."""
    return (values * mask.unsqueeze(1)).sum(dim=-1)


def _convolution(n_in: int, n_out: int, kernel: int, dilation: int) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv1d(n_in, n_out, kernel, dilation=dilation, padding=padding, padding_mode="replicate"),
        nn.LeakyReLU(0.1),
    )
