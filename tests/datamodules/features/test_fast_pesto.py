import math

import pytest
import torch
from pesto.loader import load_model

from datamodules.features.fast_pesto import FourierConv1d, ToeplitzMatrix, load_pesto


@pytest.mark.parametrize("length", [5, 39, 219])
def test_a_convolution_by_fft_is_the_convolution(length: int) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(3, 4, 39, padding=19)
    x = torch.randn(2, 3, length)
    assert torch.allclose(FourierConv1d(layer, length)(x), layer(x), atol=1e-5)


def test_a_toeplitz_layer_is_its_matrix() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(1, 1, 7 + 4 - 1, padding=4 - 1, bias=False)
    x = torch.randn(2, 7)
    assert torch.allclose(ToeplitzMatrix(layer, 7)(x), layer(x[:, None])[:, 0], atol=1e-6)


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_the_quick_network_hears_what_the_packages_hears(sample_rate: int) -> None:
    torch.manual_seed(0)
    times = torch.arange(sample_rate) / sample_rate
    sweep = torch.sin(2 * math.pi * (100 * times + 300 * times**2)) + 0.05 * torch.randn(sample_rate)
    with torch.inference_mode():
        original = load_model("mir-1k_g7", 10.0, sampling_rate=sample_rate)
        theirs_hz, *_, theirs = original(0.2 * sweep[None], convert_to_freq=True)
        ours_hz, *_, ours = load_pesto(10.0, sample_rate)(0.2 * sweep[None], convert_to_freq=True)
    assert torch.allclose(ours, theirs, atol=1e-3)
    assert torch.allclose(ours_hz, theirs_hz, rtol=1e-4)
