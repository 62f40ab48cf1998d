"""Batching: how numbered examples are dealt out to processes, and joined to batches."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from datamodules.batch import Features, TransferBatch


class ExampleKey(NamedTuple):
    """The name of a training example."""

    epoch: int
    number: int


class Example(NamedTuple):
    """One example before collation; the fields of `TransferBatch` without the batch dimension."""

    source: np.ndarray
    reference: np.ndarray
    target: np.ndarray | None
    source_instrument: int
    target_instrument: int
    piece: str
    reference_piece: str
    track: str
    features: np.ndarray | None = None
    """``(3, N)``: f0 in Hz, confidence, loudness in dB of the target."""
    source_features: np.ndarray | None = None
    """``(3, N)``: the same of the source, where it is another instrument than the target."""
    wrong_notes: np.ndarray | None = None
    other_recording: np.ndarray | None = None


def collate(examples: Sequence[Example]) -> TransferBatch:
    """Join examples of equal lengths to a batch; a field that one example lacks is ``None`` in the batch."""
    source = torch.from_numpy(np.stack([example.source for example in examples]))
    same = all(example.target is example.source for example in examples)  # in resynthesis one copy is enough
    return TransferBatch(
        source=source,
        reference=torch.from_numpy(np.stack([example.reference for example in examples])),
        target=source if same else _stacked([example.target for example in examples]),
        source_instrument=torch.tensor([example.source_instrument for example in examples]),
        target_instrument=torch.tensor([example.target_instrument for example in examples]),
        piece=[example.piece for example in examples],
        reference_piece=[example.reference_piece for example in examples],
        track=[example.track for example in examples],
        features=_features([example.features for example in examples]),
        source_features=_features([example.source_features for example in examples]),
        wrong_notes=_stacked([example.wrong_notes for example in examples]),
        other_recording=_stacked([example.other_recording for example in examples]),
    )


def _features(arrays: Sequence[np.ndarray | None]) -> Features | None:
    stacked = _stacked(arrays)
    return None if stacked is None else Features(*stacked.unbind(1))


def _stacked(arrays: Sequence[np.ndarray | None]) -> Tensor | None:
    present = [array for array in arrays if array is not None]
    return torch.from_numpy(np.stack(present)) if len(present) == len(arrays) else None


class TrainingSampler(Sampler[ExampleKey]):
    """Deals the examples of an epoch to ranks, so that the ranks' batches together are one big batch.

    With ``w`` ranks of batch size ``b``, rank ``r``'s ``k``-th batch holds the examples
    ``k·w·b + r·b … k·w·b + (r+1)·b − 1``: its share of the ``k``-th batch of one process with batch size
    ``w·b``.

    Args:
        batch_size: examples in a batch of one rank, ``b``.
        batches: batches in an epoch of one rank.
        rank: rank of this process, ``r``.
        world_size: number of processes, ``w``.
        epoch: first epoch; above 0 in a resumed training.
        batches_done: batches of the first epoch that were dealt before the training was interrupted.
    """

    def __init__(
        self,
        batch_size: int,
        batches: int,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
        batches_done: int = 0,
    ) -> None:
        self.batch_size = batch_size
        self.batches = batches
        self.rank = rank
        self.world_size = world_size
        self.epoch = self.first_epoch = epoch
        self.batches_done = batches_done

    def set_epoch(self, epoch: int) -> None:
        """Go to another epoch; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[ExampleKey]:
        done = self.batches_done if self.epoch == self.first_epoch else 0
        for batch in range(done, self.batches):
            first = (batch * self.world_size + self.rank) * self.batch_size
            for number in range(first, first + self.batch_size):
                yield ExampleKey(self.epoch, number)


class EvaluationBatchSampler(Sampler[list[int]]):
    """Deals a fixed list of examples to ranks: every example once, and equally many batches on every rank.

    A rank with one batch more would wait for the others forever, so batch sizes differ by one instead. (With
    fewer examples of a kind than ranks, the last one is judged several times.)

    Args:
        kinds: the kind of every example; a batch holds examples of one kind.
        batch_size: most examples in a batch.
        rank: rank of this process.
        world_size: number of processes.
    """

    def __init__(
        self, kinds: Sequence[Hashable], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._batches: list[list[int]] = []
        for kind in dict.fromkeys(kinds):
            examples = [number for number, of in enumerate(kinds) if of == kind]
            count = -(-len(examples) // (batch_size * world_size)) * world_size
            shares = [share.tolist() or examples[-1:] for share in np.array_split(examples, count)]
            self._batches += shares[rank::world_size]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)
