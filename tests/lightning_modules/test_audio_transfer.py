"""A trained transfer on audio of any length, and its options."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from lightning_modules.audio_transfer import AudioTransfer, cross_faded, set_options
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.errors import UserError


@dataclass
class Knobs:
    shift: float = 0.0
    octaves: bool = True


def test_options_set_the_modules_adaptation() -> None:
    module = TimbreTransferModule(16000)
    module.adaptation = Knobs()
    set_options(module, ["shift=-2.5", "octaves=false"])
    assert module.adaptation == Knobs(-2.5, False)
    with pytest.raises(UserError, match="Did you mean 'shift'"):
        set_options(module, ["shfit=1"])
    with pytest.raises(UserError, match="must be a float"):
        set_options(module, ["shift=much"])


class LoudAs(TimbreTransferModule):
    """As loud as its references are on average."""

    averages_references = True

    def transfer(self, source, reference=None, target_instrument=None):
        return source * torch.stack([one.abs().amax(-1, keepdim=True) for one in reference]).mean(0)


def test_several_references_of_other_lengths_reach_the_module() -> None:
    references = [np.full(length, gain, dtype=np.float32) for length, gain in ((50, 0.2), (900, 0.6))]
    transfer = AudioTransfer(LoudAs(16000), references)
    np.testing.assert_allclose(transfer(np.ones((2, 300), dtype=np.float32)), 0.4, rtol=1e-6)


def test_fades_of_an_identity_give_back_the_audio() -> None:
    audio = torch.randn(2, 1000).numpy()
    joined = cross_faded(lambda part: part, audio, chunk=300, overlap=100)
    np.testing.assert_allclose(joined, audio, atol=1e-5)
