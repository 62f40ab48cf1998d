"""The network has exactly the documented sizes, and streams."""

import pytest
import torch

from lightning_modules.ddsp.decoders import DilatedDecoder, GRUDecoder, LSTMDecoder
from lightning_modules.ddsp.network import DDSPNetwork, scale_f0, scale_loudness


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: DDSPNetwork(GRUDecoder(512, 256), 256, layers_per_mlp=2), 1_022_078),
        (lambda: DDSPNetwork(GRUDecoder(512, 256), 256, layers_per_mlp=1), 823_166),
        (lambda: DDSPNetwork(GRUDecoder(1024, 512), 512, layers_per_mlp=3), 4_801_150),
        (lambda: DDSPNetwork(GRUDecoder(2, 256), layers_per_mlp=0), 232_314),
    ],
    ids=["document", "one layer an MLP", "large", "tiny"],
)
def test_parameter_counts_are_the_documented_ones(network, parameters):
    assert sum(p.numel() for p in network().parameters()) == parameters


def test_inputs_are_scaled_to_the_unit_range():
    assert scale_f0(torch.tensor(440.0)).item() == pytest.approx(69 / 127)
    assert scale_f0(torch.tensor(880.0)).item() == pytest.approx(81 / 127)
    assert scale_loudness(torch.tensor([-80.0, -40.0, 0.0])).tolist() == [0.0, 0.5, 1.0]


def test_input_mlps_share_nothing():
    network = DDSPNetwork(GRUDecoder())
    f0_parameters = {p.data_ptr() for p in network.f0_mlp.parameters()}
    assert f0_parameters.isdisjoint(p.data_ptr() for p in network.loudness_mlp.parameters())
    assert not torch.equal(network.f0_mlp[0].weight, network.loudness_mlp[0].weight)


DECODERS = [
    lambda: GRUDecoder(32, 16),
    lambda: LSTMDecoder(32, 16),
    lambda: DilatedDecoder(32, 16, layers_per_stack=3),
]


@pytest.mark.parametrize("decoder", DECODERS, ids=["gru", "lstm", "dilated"])
def test_block_by_block_equals_at_once(decoder):
    torch.manual_seed(0)
    network = DDSPNetwork(decoder(), hidden_size=16).eval()
    f0_hz, loudness_db = torch.rand(2, 50) * 400 + 100, -80 * torch.rand(2, 50)
    whole, _ = network(f0_hz, loudness_db)
    state, blocks = None, []
    for f, db in zip(f0_hz.split(7, 1), loudness_db.split(7, 1), strict=True):
        raw, state = network(f, db, state)
        blocks.append(raw)
    for name in whole._fields:
        joined = torch.cat([getattr(block, name) for block in blocks], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decoder", DECODERS, ids=["gru", "lstm", "dilated"])
def test_the_future_changes_nothing(decoder):
    network = DDSPNetwork(decoder(), hidden_size=16).eval()
    f0_hz, loudness_db = torch.full((1, 40), 220.0), torch.full((1, 40), -30.0)
    later = loudness_db.clone()
    later[:, 20:] = 0.0
    a, b = network(f0_hz, loudness_db)[0], network(f0_hz, later)[0]
    torch.testing.assert_close(a.harmonic_distribution[:, :20], b.harmonic_distribution[:, :20])
    assert not torch.allclose(a.harmonic_distribution[:, 20:], b.harmonic_distribution[:, 20:])


def test_dilated_decoder_sees_1020_frames_back():
    decoder = DilatedDecoder()
    past = sum((c.kernel_size[0] - 1) * c.dilation[0] for c in decoder.convolutions)
    assert past == 1020


def test_a_decoder_of_the_wrong_size_is_named():
    with pytest.raises(ValueError, match=r"set decoder\.init_args\.input_size to 64"):
        DDSPNetwork(GRUDecoder(512), hidden_size=32)
