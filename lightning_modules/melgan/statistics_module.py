"""Transfer without a generator: a waveform is optimised through what the vocoder hears."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from datamodules.corpora.corpus import CorpusError
from lightning_modules.melgan.module import MelGANModule, features_of
from lightning_modules.melgan.waveform_matching import Heard, WaveformMatching


class MelGANStatisticsModule(MelGANModule):
    """One-shot transfer by matching the statistics of mel frames and of a trained discriminator's features.

    The MelGAN document's first idea. Training is the vocoder's; what a transfer needs of the checkpoint is
    the discriminator alone. A transfer takes `WaveformMatching.n_steps` passes through it.

    Args:
        matching: how a waveform is optimised.
        vocoder: the other arguments, see `MelGANModule`.
    """

    takes_reference = True

    def __init__(self, matching: WaveformMatching | None = None, **vocoder: Any) -> None:
        super().__init__(**vocoder)
        self.matching = matching or WaveformMatching()

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Optimise ``source`` until it sounds like ``reference``. See `TimbreTransferModule.transfer`."""
        if reference is None or reference.shape[-1] == 0:
            raise CorpusError(
                "This model takes the timbre from a reference and was given none: add --reference FILE."
            )
        return self.matching(self.listen, source, reference, self.sample_rate)

    def listen(self, audio: Tensor) -> Heard:
        """Compute what is matched of ``(B, T)`` audio: mel frames, and features of the discriminator."""
        return Heard(self.mel(audio, self.sample_rate), features_of(self.discriminator(audio)))
