"""Data without a corpus: tones of two instruments that differ in their overtones."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.batch import TransferBatch

INSTRUMENTS = ("dull", "bright")
OVERTONES = {"dull": (1.0, 0.1), "bright": (0.6, 0.5, 0.4)}


def tone(instrument: str, f0_hz: float, seconds: float, sample_rate: int) -> Tensor:
    """A steady tone, ``(T,)``, peak below 0.5."""
    phase = 2 * torch.pi * f0_hz * torch.arange(int(seconds * sample_rate)) / sample_rate
    parts = [gain * torch.sin((k + 1) * phase) for k, gain in enumerate(OVERTONES[instrument])]
    return 0.3 * torch.stack(parts).sum(0)


class Tones(Dataset[TransferBatch]):
    """``n`` fixed pairs of the same note, dull and bright."""

    def __init__(self, n: int, seconds: float, sample_rate: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.f0_hz = (220 * 2 ** torch.rand(n, generator=generator)).tolist()
        self.seconds, self.sample_rate = seconds, sample_rate

    def __len__(self) -> int:
        return len(self.f0_hz)

    def __getitem__(self, index: int) -> TransferBatch:
        def at(name: str, factor: float = 1.0) -> Tensor:
            return tone(name, factor * self.f0_hz[index], self.seconds, self.sample_rate).unsqueeze(0)

        ids = torch.tensor([0]), torch.tensor([1])
        names = [f"piece{index}"], [f"piece{index + 1}"], ["monophonic"]
        other = {"wrong_notes": at("bright", 1.3), "other_recording": at("bright")}
        return TransferBatch(at("dull"), at("bright", 1.5), at("bright"), *ids, *names, **other)


def collate(examples: Sequence[TransferBatch]) -> TransferBatch:
    """Concatenate examples along the batch."""

    def join(parts: Sequence[object]) -> object:
        if isinstance(parts[0], Tensor):
            return torch.cat(list(parts))  # type: ignore[arg-type]
        return None if parts[0] is None else [name for part in parts for name in part]  # type: ignore[attr-defined]

    return TransferBatch(*(join(parts) for parts in zip(*examples, strict=True)))


class TonesDataModule(L.LightningDataModule):
    """Train, validate and test on tones.

    Args:
        sample_rate: in Hz.
        batches_per_epoch: training batches of four examples an epoch.
        seconds: length of every tone.
        seed: of the pitches.
    """

    corpus_root = None

    def __init__(
        self, sample_rate: int = 16000, batches_per_epoch: int = 4, seconds: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.sample_rate, self.batches_per_epoch, self.seconds, self.seed = (
            sample_rate,
            batches_per_epoch,
            seconds,
            seed,
        )

    @property
    def instruments(self) -> tuple[str, ...]:
        """The two instruments."""
        return INSTRUMENTS

    def _loader(self, n: int, seed: int) -> DataLoader[TransferBatch]:
        tones = Tones(n, self.seconds, self.sample_rate, seed)
        return DataLoader(tones, batch_size=4, collate_fn=collate)

    def train_dataloader(self) -> DataLoader[TransferBatch]:
        return self._loader(4 * self.batches_per_epoch, self.seed)

    def val_dataloader(self) -> DataLoader[TransferBatch]:
        return self._loader(4, 1001)

    def test_dataloader(self) -> DataLoader[TransferBatch]:
        return self._loader(4, 1002)

    predict_dataloader = test_dataloader
