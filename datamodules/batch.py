"""The batch that travels from a data module to a LightningModule.

Shape letters, the same everywhere in the suite: ``B`` examples in a batch, ``T`` samples of audio, ``R``
samples of reference audio, ``N`` feature frames.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

FRAME_RATE_HZ = 250
"""Feature frames a second, of every corpus (DDSP, arXiv 2001.04643, section 3.1)."""


class Features(NamedTuple):
    """Frame-wise features of monophonic audio, ``FRAME_RATE_HZ`` frames a second.

    Frame ``n`` describes the audio around time ``n / FRAME_RATE_HZ``; audio of ``T`` samples at rate
    ``sr`` has ``N = ceil(T * FRAME_RATE_HZ / sr)`` frames.
    """

    f0_hz: Tensor
    """``(B, N)`` fundamental frequency in Hz, positive everywhere (a guess where unvoiced)."""
    f0_confidence: Tensor
    """``(B, N)`` confidence of the pitch tracker that the frame is voiced, in [0, 1]."""
    loudness_db: Tensor
    """``(B, N)`` A-weighted loudness in dB re full scale, at least −80."""


class TransferBatch(NamedTuple):
    """A batch for training or judging a timbre transfer. Audio is mono float32 in [−1, 1]."""

    source: Tensor
    """``(B, T)`` audio whose notes are kept."""
    reference: Tensor
    """``(B, R)`` audio of another piece on the target instrument, which shows the wanted timbre."""
    target: Tensor | None
    """``(B, T)`` audio of the source's notes on the target instrument; ``None`` where there are no pairs."""
    source_instrument: Tensor
    """``(B,)`` long, index of the source's instrument in the data module's ``instruments``."""
    target_instrument: Tensor
    """``(B,)`` long, index of the target instrument in the data module's ``instruments``."""
    piece: list[str]
    """Piece id of each source; confidence intervals resample pieces."""
    reference_piece: list[str]
    """Piece id of each reference."""
    track: list[str]
    """Track of each source, ``monophonic`` or ``polyphonic``."""
    features: Features | None = None
    """Features of the target; ``None`` in batches of a data module that gives none."""
    source_features: Features | None = None
    """Features of the source, where it is another instrument than the target; otherwise ``None``."""
    wrong_notes: Tensor | None = None
    """``(B, T)`` audio of a third piece on the target instrument, for an anchor; evaluation batches only."""
    other_recording: Tensor | None = None
    """``(B, T)`` audio of the source's notes on the target instrument of another bank, for an anchor;
    evaluation batches only, of a corpus that has such a bank."""

    def examples(self, which: slice) -> TransferBatch:
        """Make a batch of a part of the examples."""

        def of(part: Any) -> Any:
            if isinstance(part, Features):
                return Features(*(frames[which] for frames in part))
            return None if part is None else part[which]

        return TransferBatch(*(of(part) for part in self))
