"""The Mamba layer equals an independent package's, looks only back, and streams."""

import pytest
import torch

from lightning_modules.layers.mamba import DT_MAX, DT_MIN, Mamba


def layer(d_model=24, **sizes):
    torch.manual_seed(0)
    return Mamba(d_model, **sizes)


@pytest.mark.parametrize("d_model, n_parameters", [(32, 9_920), (64, 32_640), (128, 116_480), (256, 437_760)])
def test_parameters(d_model, n_parameters):
    assert sum(p.numel() for p in Mamba(d_model).parameters()) == n_parameters


def test_equals_the_parallel_package_with_the_same_weights():
    mambapy = pytest.importorskip("mambapy.mamba")
    theirs = mambapy.MambaBlock(mambapy.MambaConfig(d_model=24, n_layers=1))
    ours = layer()
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 300, 24)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)
    for block in (ours, theirs):
        block(x).square().sum().backward()
    for name, parameter in ours.named_parameters():
        wanted = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=1e-3)


def test_names_and_shapes_are_upstreams():
    assert {name: tuple(value.shape) for name, value in layer(32).state_dict().items()} == {
        "A_log": (64, 16),
        "D": (64,),
        "in_proj.weight": (128, 32),
        "conv1d.weight": (64, 1, 4),
        "conv1d.bias": (64,),
        "x_proj.weight": (2 + 2 * 16, 64),
        "dt_proj.weight": (64, 2),
        "dt_proj.bias": (64,),
        "out_proj.weight": (32, 64),
    }


def test_first_durations_lie_in_their_range():
    durations = torch.nn.functional.softplus(layer(256).dt_proj.bias)
    assert durations.min() >= DT_MIN * 0.999
    assert durations.max() <= DT_MAX * 1.001
    assert 0.8 < (durations < 0.01).float().mean() / 0.5 < 1.2  # half of them below the geometric mean


@pytest.mark.parametrize("sizes", [[1] * 20, [3, 17], [19, 1], [2, 5, 13]])
def test_blocks_equal_the_whole(sizes):
    mamba, x = layer(), torch.randn(2, 20, 24)
    cache = {}
    heard = torch.cat([mamba(block, cache) for block in x.split(sizes, dim=1)], dim=1)
    torch.testing.assert_close(heard, mamba(x), atol=1e-6, rtol=1e-5)


def test_nothing_looks_ahead():
    mamba, x = layer(), torch.randn(1, 50, 24)
    changed = x.clone()
    changed[:, 30:] += 1
    before, after = mamba(x), mamba(changed)
    assert torch.equal(before[:, :30], after[:, :30])
    assert (before[:, 30:] != after[:, 30:]).any(-1).all()


def test_the_past_is_not_forgotten_after_the_convolution():
    mamba, x = layer(), torch.randn(1, 200, 24)
    changed = x.clone()
    changed[:, 0] += 1
    assert (mamba(x)[:, 100] - mamba(changed)[:, 100]).abs().max() > 1e-6


def test_half_precision():
    mamba, x = layer(), torch.randn(2, 300, 24)
    with torch.autocast("cpu", torch.bfloat16):
        half = mamba(x)
    assert half.dtype == torch.bfloat16
    assert (half - mamba(x)).norm() < 0.03 * mamba(x).norm()
