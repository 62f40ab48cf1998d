"""What a transfer costs: only what it reads is counted, and its threads are given back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from callbacks.test_table import pair_scores
from callbacks.transfer_cost import PARAMETERS, REAL_TIME_FACTOR, count_read_parameters, measure_cost
from lightning_modules.transfer_module import TimbreTransferModule
from metrics.evaluation.table import TestRow, TestTable


class WithDiscriminator(TimbreTransferModule):
    """Reads a recurrent network, a normalised convolution and a bare parameter; training has more."""

    def __init__(self) -> None:
        super().__init__(8000)
        self.memory = nn.GRU(1, 2)
        self.filter = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 1, 3, padding=1))
        self.gain = nn.Parameter(torch.ones(()))
        self.discriminator = nn.Linear(1000, 1000)

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        self.n_threads = torch.get_num_threads()
        return self.gain * self.filter(self.memory(source.T[..., None])[0].transpose(1, 2))[..., 0].T


def test_only_what_a_transfer_reads_is_counted() -> None:
    module = WithDiscriminator()
    gru, convolution = 3 * 2 * (1 + 2 + 2), 6 + 1 + 1  # weight_norm: direction, magnitude, bias
    assert count_read_parameters(module, lambda: module.transfer(torch.zeros(1, 8))) == gru + convolution + 1


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 3, 1), nn.Conv1d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def test_parameters_of_a_compiled_network_are_counted() -> None:
    torch.compiler.reset()
    network = Convolutions()
    network.compile(backend="eager")  # traced, as for any backend, and nothing else
    assert count_read_parameters(network, lambda: network(torch.zeros(1, 2, 8))) == 6 + 3 + 3 + 1


def test_the_cost_is_that_of_one_thread() -> None:
    module, before = WithDiscriminator(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        audio = torch.zeros(1, 800)
        values = measure_cost(module, audio, audio, torch.zeros(1, dtype=torch.long), repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert module.n_threads == 1
    assert values[PARAMETERS] < 100
    assert values[REAL_TIME_FACTOR] > 0


def test_every_pair_has_a_score_under_one_name() -> None:
    rows = [
        TestRow(track, "a->b", piece, "r", {"joint_score": score})
        for track, piece, score in (
            ("monophonic", "p", 0.2),
            ("monophonic", "q", 0.4),
            ("polyphonic", "p", 0.9),
        )
    ]
    assert pair_scores(TestTable.of(rows)) == {
        "test/joint_score/monophonic/a_to_b": 0.30000000000000004,
        "test/joint_score/polyphonic/a_to_b": 0.9,
    }
