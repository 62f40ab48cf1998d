"""A trained transfer on audio of any length and level, and its options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
import torch

from lightning_modules.audio_transfer import (
    AudioTransfer,
    cross_faded,
    described_options,
    options_of,
    set_options,
)
from lightning_modules.ddsp import DDSPModule
from lightning_modules.ddsp.decoders import GRUDecoder
from lightning_modules.ddsp.network import DDSPNetwork
from lightning_modules.melgan import MelGANModule, MelGANStatisticsModule, MelGANStyleModule
from lightning_modules.melgan.waveform_matching import WaveformMatching
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.arguments import float_within
from runtime.errors import UserError
from tests.lightning_modules.disentangled.conftest import build as disentangled
from tests.lightning_modules.mambamuse.conftest import build as mambamuse
from tests.lightning_modules.melgan.conftest import small_style_networks, small_vocoder
from tests.lightning_modules.pix2pix.conftest import build as pix2pix

BUILDERS: dict[str, Callable[[], TimbreTransferModule]] = {
    "ddsp": lambda: DDSPModule(DDSPNetwork(GRUDecoder(64, 32), 32, layers_per_mlp=1)),
    "disentangled": disentangled,
    "mambamuse": mambamuse,
    "mambamuse_causal": lambda: mambamuse(causal=True),
    "melgan_vocoder": lambda: MelGANModule(**small_vocoder()),
    "melgan_statistics": lambda: MelGANStatisticsModule(
        WaveformMatching(n_steps=3, content_layers=(1,), progress=False), **small_vocoder()
    ),
    "melgan_style": lambda: MelGANStyleModule(**small_style_networks(), **small_vocoder()),
    "pix2pix": pix2pix,
    "pix2pix_multitarget": lambda: pix2pix(conditioned=True),
}


def melody(sample_rate: int, seconds: float = 1.5) -> np.ndarray:
    """Notes of half a second with three partials, which fade, each followed by a rest, in a quiet room."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    hz = 220.0 * 2.0 ** (np.floor(t / 0.5) % 3 * 4 / 12)
    fading = np.exp(-4 * (t % 0.5)) * (t % 0.5 < 0.4)
    partials = sum(0.5**k * np.sin(2 * np.pi * k * hz * t) for k in (1, 2, 3))
    # Where there is nothing at all, the phase that an architecture takes from the source is one of rounding.
    room = 1e-3 * np.random.default_rng(0).standard_normal(len(t))
    return (0.3 * fading * partials + room).astype(np.float32)


def transfer_of(module: TimbreTransferModule, audio: np.ndarray, reference_gain: float = 1.0) -> np.ndarray:
    reference = [reference_gain * melody(module.sample_rate)[::-1].copy()] if module.takes_reference else []
    return np.concatenate(list(AudioTransfer(module.eval(), reference)(audio)))


@pytest.mark.parametrize("name", BUILDERS)
def test_the_level_of_a_source_changes_the_level_of_the_result_alone(name: str) -> None:
    torch.manual_seed(0)
    module = BUILDERS[name]()
    audio = melody(module.sample_rate)
    expected = transfer_of(module, audio)
    assert np.abs(expected).max() > 0
    for gain, reference_gain in ((0.1, 1.0), (3.0, 0.1)):
        result = transfer_of(module, np.float32(gain) * audio, np.float32(reference_gain)) / gain
        assert np.abs(result - expected).max() < 0.01 * np.abs(expected).max()
    assert transfer_of(module, np.zeros_like(audio)).tolist() == np.zeros_like(audio).tolist()


def test_silence_around_a_source_does_not_change_its_level() -> None:
    heard: list[float] = []

    class Listening(TimbreTransferModule):
        def transfer(self, source, reference=None, target_instrument=None):
            heard.append(float(source.abs().max()))
            return source

    rests = np.zeros(80 * 256, dtype=np.float32)
    transfer = AudioTransfer(Listening(8000))
    tune = melody(8000, 6.0)
    for audio in (tune, np.concatenate([rests, tune, rests])):
        np.testing.assert_allclose(np.concatenate(list(transfer(audio))), audio, atol=1e-6)
    assert heard[0] == pytest.approx(heard[1], rel=0.02)


GROWTH = """
import resource, sys
import numpy as np
from lightning_modules.audio_transfer import AudioTransfer
from tests.lightning_modules.test_audio_transfer import BUILDERS, melody

transfer = AudioTransfer(BUILDERS["ddsp"]().eval(), chunk_s=10.0)
for n_times in (8, 24):
    source = np.tile(melody(16_000, 4.0), n_times)
    assert sum(len(block) for block in transfer(source)) == len(source)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_length_of_a_source() -> None:
    """Transferred at once, the longer one takes 140 MB more."""
    ran = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    short_mb, long_mb = map(float, ran.stdout.split())
    assert long_mb < short_mb + 60


@dataclass
class Knobs:
    """What can be turned.

    Args:
        shift: how much higher the result is, in
            semitones.
        octaves: whether octaves count.
        free: has no range.
    """

    shift: Annotated[float, float_within(-12, 12)] = 0.0
    octaves: bool = True
    free: float = 1.5


def test_options_set_the_modules_adaptation() -> None:
    module = TimbreTransferModule(16000)
    module.adaptation = Knobs()
    set_options(module, ["shift=-2.5", "octaves=false"])
    assert module.adaptation == Knobs(-2.5, False, 1.5)
    with pytest.raises(UserError, match="Did you mean 'shift'"):
        set_options(module, ["shfit=1"])
    for text in ("much", "nan", "-13"):
        with pytest.raises(UserError, match=f"shift must be a number from -12 to 12, not '{text}'"):
            set_options(module, [f"shift={text}"])
    with pytest.raises(UserError, match="octaves must be true or false, not 'perhaps'"):
        set_options(module, ["octaves=perhaps"])


def test_options_are_described_with_their_ranges() -> None:
    module = TimbreTransferModule(16000)
    assert described_options(module) == "TimbreTransferModule has no options."
    module.adaptation = Knobs()
    assert described_options(module).splitlines() == [
        "Options of TimbreTransferModule:",
        "  shift=0.0  (a number from -12 to 12)",
        "      how much higher the result is, in semitones.",
        "  octaves=true  (true or false)",
        "      whether octaves count.",
        "  free=1.5  (a finite number)",
        "      has no range.",
    ]


@pytest.mark.parametrize("name", ["ddsp", "mambamuse"])
def test_every_option_of_an_architecture_has_a_range_and_a_sentence(name: str) -> None:
    options = options_of(BUILDERS[name]())
    assert options
    for option in options:
        assert option.sentence
        assert option.read(str(option.now)) == option.now


class AsLongAs(TimbreTransferModule):
    """The source times the mean length of its references."""

    takes_reference = averages_references = True

    def transfer(self, source, reference=None, target_instrument=None):
        references = [reference] if isinstance(reference, torch.Tensor) else reference
        return source * sum(one.shape[-1] for one in references) / len(references)


def test_several_references_of_other_lengths_reach_the_module() -> None:
    audio = melody(16_000)
    transfer = AudioTransfer(AsLongAs(16_000), [audio[:4000], audio[:8000]])
    np.testing.assert_allclose(np.concatenate(list(transfer(audio))), 6000 * audio, rtol=1e-4)


def test_references_that_say_nothing_are_refused_or_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    audio = melody(16_000)
    with pytest.raises(UserError, match="Reference 2 of 2 is silent"):
        AudioTransfer(AsLongAs(16_000), [audio, 1e-5 * audio])
    AudioTransfer(AsLongAs(16_000), [audio])
    assert capsys.readouterr().err == ""
    AudioTransfer(TimbreTransferModule(16_000), [audio])
    assert "takes no reference" in capsys.readouterr().err
    AudioTransfer(AsLongAs(16_000), [np.tile(audio, 50)])
    assert "the first 60 seconds" in capsys.readouterr().err


@pytest.mark.parametrize("n_samples", [1, 100, 29_999, 30_000, 30_001, 31_000, 100_000, 123_457])
def test_fades_of_an_identity_give_back_the_audio(n_samples: int) -> None:
    audio = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    lengths = []

    def part(start: int, stop: int) -> np.ndarray:
        lengths.append(stop - start)
        return audio[start:stop]

    joined = np.concatenate(list(cross_faded(part, n_samples, chunk=30_000, overlap=5_000)))
    np.testing.assert_allclose(joined, audio, atol=1e-5)
    assert max(lengths) <= 30_000 + 4096  # beginnings are rounded
    assert min(lengths) > min(n_samples - 1, 5_000)
