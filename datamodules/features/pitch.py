"""Pitch trackers: f0 of audio, and the confidence that it is voiced, at 250 frames a second."""

from __future__ import annotations

import importlib.util
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.batch import FRAME_RATE_HZ
from datamodules.corpora.corpus import CorpusError
from datamodules.features.fast_pesto import load_pesto

SILENCE_DB = -70.0
"""A frame with a lower mean square, in dB re full scale, is unvoiced for every tracker."""
_SILENCE_WINDOW_S = 0.032


class Pitch(NamedTuple):
    """The result of a tracker, ``N = ceil(T · 250 / sr)`` frames."""

    f0_hz: Tensor
    """``(B, N)`` fundamental frequency in Hz, positive everywhere (a guess where unvoiced)."""
    confidence: Tensor
    """``(B, N)`` confidence that the frame is voiced, in [0, 1]; 0 in silence."""


class PitchTracker:
    """The interface of trackers. A subclass implements `track` on its own grid of frames.

    All trackers share what is here: they take audio of any length, are interpolated to 250 frames a second
    (f0 in log-frequency, as pitch is heard), and have no confidence in silence, where they would guess.
    """

    name: str = ""
    """Part of the name of the feature folder: trackers with other results have other names."""
    min_s: float = 0.6
    """Length up to which shorter audio is continued with silence before tracking."""

    def track(self, audio: Tensor, sample_rate: int) -> tuple[Pitch, float]:
        """Track pitch on the tracker's own grid.

        Args:
            audio: ``(B, T)``, at least ``min_s`` long.
            sample_rate: in Hz.

        Returns:
            Pitch ``(B, M)`` and the hop in seconds; frame ``m`` is centred on ``m · hop``.
        """
        raise NotImplementedError

    def __call__(self, audio: Tensor, sample_rate: int) -> Pitch:
        """Track the pitch of ``(B, T)`` audio of any length at ``sample_rate`` Hz, without gradient."""
        count = -(-audio.shape[-1] * FRAME_RATE_HZ // sample_rate)
        if audio.numel() == 0:
            return Pitch(audio.new_zeros(len(audio), count), audio.new_zeros(len(audio), count))
        missing = math.ceil(self.min_s * sample_rate) - audio.shape[-1]
        with torch.inference_mode():
            pitch, hop_s = self.track(F.pad(audio.float(), (0, max(0, missing))), sample_rate)
            f0_hz = torch.exp2(_resampled(torch.log2(pitch.f0_hz), hop_s, count))
            confidence = _resampled(pitch.confidence, hop_s, count).clamp(0, 1)
            confidence = confidence * _is_audible(audio, sample_rate, count)
        return Pitch(f0_hz.clone(), confidence.clone())


def _resampled(values: Tensor, hop_s: float, count: int) -> Tensor:
    """Interpolate ``(B, M)`` values, ``hop_s`` apart, linearly at ``count`` times, 1/250 s apart."""
    times = torch.arange(count, device=values.device, dtype=torch.float64) / FRAME_RATE_HZ
    position = (times / hop_s).clamp(max=values.shape[-1] - 1)
    low = position.long().clamp(max=max(0, values.shape[-1] - 2))
    high = (low + 1).clamp(max=values.shape[-1] - 1)
    return torch.lerp(values[:, low], values[:, high], (position - low).to(values.dtype))


def _is_audible(audio: Tensor, sample_rate: int, count: int) -> Tensor:
    """Give 1.0 where a frame's mean square is above the silence level and 0.0 elsewhere, ``(B, count)``."""
    half = round(_SILENCE_WINDOW_S * sample_rate / 2)
    # Windows are differences of a running sum, in float64, so that quiet ends of loud files are not lost.
    energy = F.pad(audio.double().square().cumsum(-1), (1, 0))
    centre = (torch.arange(count, device=audio.device) * sample_rate) // FRAME_RATE_HZ
    first, last = (centre - half).clamp(min=0), (centre + half).clamp(max=audio.shape[-1])
    power = (energy[:, last] - energy[:, first]) / (last - first).clamp(min=1)
    return (power > 10 ** (SILENCE_DB / 10)).to(audio.dtype)


class PestoTracker(PitchTracker):
    """PESTO, self-supervised, with the weights of its package (Riou et al., ISMIR 2023, arXiv 2309.02265).

    It is right within 20 cents from 80 to 1600 Hz, in steps of 10 ms. Its voicing classifier was trained at
    one level and takes a quiet tone for silence and loud noise for a tone, so every frame is given the same
    energy before it is classified, and silence is found by level (see `PitchTracker`). Above 1.3 kHz its
    confidence falls although the pitch stays right.
    """

    name = "pesto"
    _STEP_MS = 10.0
    _ENERGY = 30.0
    """Energy at which the confidence tells tones of 80 to 1200 Hz (≥ 0.97) best from white, pink and brown
    noise (≤ 0.1), in units of PESTO's own spectrum; found by scanning 1 … 10,000."""
    _FRAMES_AT_ONCE = 128
    """Frames of which the network's intermediate values fit into a core's cache."""

    def track(self, audio: Tensor, sample_rate: int) -> tuple[Pitch, float]:
        """See `PitchTracker.track`."""
        from pesto.utils import reduce_activations

        model = load_pesto(self._STEP_MS, sample_rate).to(audio.device)
        spectrum = model.preprocessor(audio, sr=sample_rate)  # (B, M, 1, bins) in dB
        frames = spectrum.flatten(0, 1)
        energy = torch.pow(10.0, frames.squeeze(1) / 10)
        energy = energy * (self._ENERGY / energy.sum(-1, keepdim=True).clamp(min=1e-12))
        confidence = model.confidence(energy)
        shift = -round(float(model.shift) * model.bins_per_semitone)
        parts = [model.encoder(part) for part in model.crop_cqt(frames).split(self._FRAMES_AT_ONCE)]
        midi = reduce_activations(torch.cat(parts).roll(shift, -1), reduction=model.reduction)
        f0_hz = 440 * torch.exp2((midi - 69) / 12)
        shape = spectrum.shape[:2]
        return Pitch(f0_hz.view(shape), confidence.view(shape)), self._hop(sample_rate) / sample_rate

    def _hop(self, sample_rate: int) -> int:
        return int(self._STEP_MS * sample_rate / 1000 + 0.5)  # as PESTO rounds it


class PyinTracker(PitchTracker):
    """Probabilistic YIN of librosa (Mauch and Dixon, ICASSP 2014): exact, slow, and without weights.

    Args:
        f0_min_hz: lowest f0 that can be found; a lower one is slower, as a window holds four of its periods.
        f0_max_hz: highest f0 that can be found.
    """

    def __init__(self, f0_min_hz: float = 60.0, f0_max_hz: float = 2000.0) -> None:
        self.f0_min_hz = f0_min_hz
        self.f0_max_hz = f0_max_hz
        self.name = f"pyin-{f0_min_hz:g}-{f0_max_hz:g}"

    def track(self, audio: Tensor, sample_rate: int) -> tuple[Pitch, float]:
        """See `PitchTracker.track`."""
        import librosa

        hop = round(0.01 * sample_rate)
        window = 2 * round(2 * sample_rate / self.f0_min_hz)
        f0_hz, _, voiced = librosa.pyin(
            audio.cpu().numpy(),
            fmin=self.f0_min_hz,
            fmax=self.f0_max_hz,
            sr=sample_rate,
            frame_length=window,
            hop_length=hop,
            fill_na=None,
        )
        f0, confidence = (torch.from_numpy(x).to(audio) for x in (f0_hz, voiced))
        return Pitch(f0, confidence), hop / sample_rate


class CrepeTracker(PitchTracker):
    """CREPE of the optional package torchcrepe (Kim et al., ICASSP 2018, arXiv 1802.06182).

    Args:
        capacity: size of the network: ``full`` is the published one, ``tiny`` is quicker.
    """

    _RATE_HZ = 16000
    _HOP = 160

    def __init__(self, capacity: Literal["tiny", "full"] = "tiny") -> None:
        if importlib.util.find_spec("torchcrepe") is None:
            raise CorpusError(
                "CrepeTracker needs the package torchcrepe, which is not installed: "
                "`pip install 'timbre-transfer-suite[crepe]'`, or use the PestoTracker."
            )
        self.capacity = capacity
        self.name = f"crepe-{capacity}"

    def track(self, audio: Tensor, sample_rate: int) -> tuple[Pitch, float]:
        """See `PitchTracker.track`."""
        import torchaudio
        import torchcrepe

        # Resampled before: at other rates torchcrepe would round the hop, and its frames would drift.
        audio = torchaudio.functional.resample(audio, sample_rate, self._RATE_HZ)
        results = [
            torchcrepe.predict(
                item[None],
                self._RATE_HZ,
                self._HOP,
                fmin=50.0,
                fmax=2006.0,
                model=self.capacity,
                decoder=torchcrepe.decode.weighted_argmax,
                return_periodicity=True,
                batch_size=512,
                device=str(audio.device),
            )
            for item in audio
        ]
        f0_hz, confidence = (torch.cat(column) for column in zip(*results, strict=True))
        return Pitch(f0_hz, confidence), self._HOP / self._RATE_HZ
