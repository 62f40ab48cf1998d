"""The instruments that a model was trained to play, kept with its weights, so that it refuses others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from datamodules.corpora.corpus import CorpusError


class TrainedInstruments(nn.Module):
    """Notes in training which instruments a model learns to play, and refuses others in a transfer.

    Args:
        instruments: names behind instrument ids.
        model: subject of error messages, such as "A DDSP model".
        only_one: whether the model can learn a single instrument.
    """

    known: Tensor
    """``(I,)`` bool, a buffer: which of the instruments were targets in training."""

    def __init__(self, instruments: Sequence[str], model: str, only_one: bool = True) -> None:
        super().__init__()
        self.instruments = list(instruments)
        self.model = model
        self.only_one = only_one
        self.register_buffer("known", torch.zeros(len(self.instruments), dtype=torch.bool))

    def observe(self, ids: Tensor) -> None:
        """Note the ids ``(B,)`` of the target instruments of a training batch.

        Raises:
            CorpusError: the model can learn one instrument, and this is a second one.
        """
        self.known[ids] = True
        if self.only_one and int(self.known.sum()) > 1:
            raise CorpusError(
                f"{self.model} learns one instrument, but its training batches hold "
                f"{self._names(self.known.nonzero())}: set data.init_args.target_instruments to a list of "
                "one."
            )

    def require(self, wanted: Tensor | None) -> None:
        """Check that the model was trained to play the wanted instruments; an untrained one may play any.

        Args:
            wanted: ids ``(B,)``; ``None`` leaves the choice to the model.

        Raises:
            CorpusError: a wanted instrument was no target in training.
        """
        if wanted is None or not self.known.any() or bool(self.known[wanted].all()):
            return
        others = wanted[~self.known[wanted]].unique()
        raise CorpusError(
            f"{self.model} that was trained to play {self._names(self.known.nonzero())} cannot play "
            f"{self._names(others)}: use a model trained on it."
        )

    def _names(self, ids: Tensor) -> str:
        return ", ".join(self.instruments[i] for i in ids.flatten().tolist())
