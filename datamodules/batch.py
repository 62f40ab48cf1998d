"""What travels from a data module to a LightningModule: one small named type.

Shape letters, the same everywhere in the suite:

``B`` examples in a batch, ``T`` samples of audio, ``R`` samples of reference audio,
``N`` feature frames.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

FRAME_RATE_HZ = 250
"""Feature frames a second, of every corpus (DDSP, arXiv 2001.04643, section 3.1)."""


class Features(NamedTuple):
    """Frame-wise description of monophonic audio, ``FRAME_RATE_HZ`` frames a second.

    Frame ``n`` describes the audio around time ``n / FRAME_RATE_HZ``; audio of ``T`` samples at rate
    ``sr`` has ``N = ceil(T * FRAME_RATE_HZ / sr)`` frames.
    """

    f0_hz: Tensor
    """``(B, N)`` fundamental frequency in Hz, positive everywhere (a guess where unvoiced)."""
    f0_confidence: Tensor
    """``(B, N)`` the tracker's confidence that the frame is voiced, in [0, 1]."""
    loudness_db: Tensor
    """``(B, N)`` A-weighted loudness in dB, floor −80."""


class TransferBatch(NamedTuple):
    """A batch for training or judging a timbre transfer. Audio is mono float32 in [−1, 1]."""

    source: Tensor
    """``(B, T)`` the audio whose notes are kept."""
    reference: Tensor
    """``(B, R)`` another piece on the target instrument: it shows the wanted timbre."""
    target: Tensor | None
    """``(B, T)`` the source's notes on the target instrument; ``None`` where data is unpaired."""
    source_instrument: Tensor
    """``(B,)`` long, index into the data module's ``instruments``."""
    target_instrument: Tensor
    """``(B,)`` long, index into the data module's ``instruments``."""
    piece: list[str]
    """Piece id of each source; the unit of splits and of bootstrap intervals."""
    reference_piece: list[str]
    """Piece id of each reference."""
    track: list[str]
    """``monophonic`` or ``polyphonic``, of each source."""
    features: Features | None = None
    """Features of ``target`` where there is one, else of ``source``; only where a data module gives them."""
    source_features: Features | None = None
    """Features of ``source`` where it is another instrument than ``target``; likewise."""
    wrong_notes: Tensor | None = None
    """``(B, T)`` the target instrument playing a third piece; test batches only, for the anchors."""
    other_recording: Tensor | None = None
    """``(B, T)`` the source's notes on the same instrument of another bank; test batches only, and only
    where the corpus holds such a bank."""

    def examples(self, which: slice) -> TransferBatch:
        """The batch that holds only these of its examples."""

        def of(part: Any) -> Any:
            if isinstance(part, Features):
                return Features(*(frames[which] for frames in part))
            return None if part is None else part[which]

        return TransferBatch(*(of(part) for part in self))
