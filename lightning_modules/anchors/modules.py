"""The eight anchors, which bound together what a system can score, and show what each metric is worth.

Each is a `TimbreTransferModule` that goes through the same test as an architecture; most look at the target,
which no architecture may, so they override `transfer_batch` and cannot transfer a file.
"""

from __future__ import annotations

import zlib
from typing import NoReturn

import torch
from torch import Tensor

from datamodules.batch import TransferBatch
from lightning_modules.transfer_module import TimbreTransferModule
from metrics.functional.equaliser import equalised
from metrics.functional.oracle import with_phase_of
from runtime.errors import UserError


class AnchorError(UserError):
    """A batch lacks what an anchor is made of; the message is one sentence meant for the user."""


class Anchor(TimbreTransferModule):
    """An anchor has nothing to train, and most anchors have no answer without a batch."""

    is_anchor = True

    def configure_optimizers(self) -> None:
        """An anchor has no parameters."""

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Raise `AnchorError`: this anchor is made from the answer, which a lone recording does not have."""
        raise AnchorError(
            f"The anchor {type(self).__name__} is made from the right answer and cannot transfer a "
            "recording; use the checkpoint of a trained architecture."
        )


class Copy(Anchor):
    """The source itself: all the notes, none of the timbre."""

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Give back ``source``, unchanged."""
        return source


class Silence(Anchor):
    """Nothing at all."""

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Give zeros of the source's shape."""
        return torch.zeros_like(source)


class CopyReference(Anchor):
    """The reference, repeated or cut to length: the very timbre, none of the notes."""

    takes_reference = True

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Repeat ``reference`` ``(B, R)``, or cut it, to the length of ``source`` ``(B, T)``."""
        if reference is None:
            _lacks(self, "reference", "Give it a recording of the wanted instrument with --reference.")
        length = source.shape[-1]
        return reference.repeat(1, -(-length // reference.shape[-1]))[:, :length]


class Equaliser(Anchor):
    """The source through a fixed filter that gives it the reference's long-term spectrum.

    It learns nothing: what a system is worth begins above it.
    """

    takes_reference = True

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Filter ``source`` ``(B, T)`` by ``reference`` ``(B, R)`` (`metrics.functional.equaliser`)."""
        if reference is None:
            _lacks(self, "reference", "Give it a recording of the wanted instrument with --reference.")
        return equalised(source, reference, self.sample_rate)


class WrongNotes(Anchor):
    """The target instrument playing a third piece."""

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Give ``batch.wrong_notes``."""
        if batch.wrong_notes is None:
            _lacks(self, "wrong_notes", "The test split needs three pieces on the target instrument.")
        return batch.wrong_notes


class OtherRecording(Anchor):
    """The right notes on the same instrument of another bank: what another player would have recorded."""

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Give ``batch.other_recording``."""
        if batch.other_recording is None:
            _lacks(self, "other_recording", "Prepare the corpus with a bank that has an `elsewhere`.")
        return batch.other_recording


class OraclePhase(Anchor):
    """The target's magnitudes with the source's phase: the limit of systems that keep the phase."""

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Put the target's magnitudes and the source's phase together (`metrics.functional.oracle`)."""
        return with_phase_of(batch.source, _target(self, batch), self.sample_rate)


class TargetPlusNoise(Anchor):
    """The target with white noise: the right answer, badly recorded.

    Args:
        sample_rate: see `TimbreTransferModule`.
        instruments: see `TimbreTransferModule`.
        snr_db: level of the target over the noise, in dB of mean square.
    """

    def __init__(self, sample_rate: int, instruments: list[str] | None = None, snr_db: float = 20.0) -> None:
        super().__init__(sample_rate, instruments or [])
        self.snr_db = snr_db

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Add noise to the target that depends on the piece alone, not on the order of batches."""
        target = _target(self, batch)
        noise = torch.stack([_noise(name, target.shape[-1]) for name in batch.piece]).to(target)
        rms = target.square().mean(-1, keepdim=True).sqrt()
        return target + rms * 10.0 ** (-self.snr_db / 20) * noise


def _noise(name: str, n_samples: int) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(n_samples, generator=generator)


def _target(anchor: Anchor, batch: TransferBatch) -> Tensor:
    if batch.target is None:
        _lacks(anchor, "target", "It needs paired data: a corpus rendered from scores.")
    return batch.target


def _lacks(anchor: Anchor, name: str, remedy: str) -> NoReturn:
    raise AnchorError(f"The anchor {type(anchor).__name__} needs `{name}`, which the data lack. {remedy}")
