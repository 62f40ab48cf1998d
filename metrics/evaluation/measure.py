"""Every metric of one example: what a worker of the test does."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.features.pitch import Pitch
from metrics.evaluation.analyses import Analyses
from metrics.evaluation.example import Example
from metrics.evaluation.joint_scoring import joint_scores
from metrics.functional import content, level, melody, perceptual, signal, timbre, waveform
from metrics.timbre_space import space as timbre_space

SIGNAL_METRICS: tuple[Callable[[Tensor, Tensor, int], Tensor], ...] = (
    signal.lsd_db,
    signal.lsd_mel_db,
    signal.mcd_db,
    signal.mcd_dtw_db,
    signal.mr_stft,
    signal.spectrogram_l1,
    signal.wasserstein_bins,
    signal.wasserstein_spectrum,
    waveform.snr_db,
    waveform.sdr_db,
    waveform.si_sdr_db,
    level.loudness_l1_db,
    perceptual.pesq,
    perceptual.visqol,
)
MELODY_METRICS: tuple[Callable[[Pitch, Pitch], Tensor], ...] = (
    melody.raw_pitch_accuracy,
    melody.raw_chroma_accuracy,
    melody.voicing_recall,
    melody.voicing_false_alarm,
    melody.f0_semitone_error,
    melody.f0_outlier_share,
)


class Setting(NamedTuple):
    """What all examples of a test share; it pickles, so that workers can have it."""

    sample_rate: int
    space_path: Path | None
    """The corpus' timbre space; ``None``: no metric that needs one."""
    analyses_folder: Path | None
    signal_metrics: tuple[Callable[[Tensor, Tensor, int], Tensor], ...] = SIGNAL_METRICS
    melody_metrics: tuple[Callable[[Pitch, Pitch], Tensor], ...] = MELODY_METRICS


class Measured(NamedTuple):
    """The values of one example."""

    metrics: dict[str, float]
    """NaN where a metric does not exist for the example."""
    preds_windows: np.ndarray
    """``(W, 64)`` timbre embeddings of the output; W is 0 without a timbre space."""
    target_windows: np.ndarray
    """``(W, 64)`` of the target, or of the reference where there is no target."""


def measure(example: Example, setting: Setting) -> Measured:
    """Compute every metric of ``example``. An output with infinite or NaN samples has NaN everywhere."""
    judge = _Judge(example, setting)
    if np.isfinite(example.preds).all():
        return Measured(judge.metrics(), *judge.windows())
    silent = example._replace(preds=np.zeros_like(example.preds))
    names = _Judge(silent, setting).metrics()
    return Measured(dict.fromkeys(names, math.nan), _NO_WINDOWS, _NO_WINDOWS)


_NO_WINDOWS = np.zeros((0, timbre_space.EMBEDDING_SIZE), np.float32)


class _Judge:
    """The three questions about one example."""

    def __init__(self, example: Example, setting: Setting) -> None:
        self.example = example
        self.sample_rate = setting.sample_rate
        self.analyses = _analyses(setting.analyses_folder, setting.space_path)
        self.space = self.analyses.space
        self.setting = setting

    def metrics(self) -> dict[str, float]:
        found = self._content() | self._timbre() | self._signal()
        if self.space is None:
            return found
        return found | joint_scores(self.example, self.sample_rate, self.analyses)

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        if self.space is None:
            return _NO_WINDOWS, _NO_WINDOWS
        sides = (self.example.preds, self.example.timbre_wanted)
        preds, target = (self.space.embed_windows(_clip(side))[0].numpy() for side in sides)
        return preds, target

    def _content(self) -> dict[str, float]:
        preds, target = self.example.preds, self.example.notes_wanted
        heard = self.analyses.notes(preds, self.sample_rate, keep=False)
        wanted = self.analyses.notes(target, self.sample_rate)
        found = {
            "pitch_jaccard_distance": content.jaccard_distance(heard.sounding, wanted.sounding),
            "onset_f1": content.onset_f_measure(heard.onsets_s, wanted.onsets_s),
            "chroma_cosine": float(content.chroma_cosine(_clip(preds), _clip(target), self.sample_rate)),
        }
        return found | (self._melody() if self.example.is_monophonic and self.setting.melody_metrics else {})

    def _melody(self) -> dict[str, float]:
        preds = self.analyses.pitch(self.example.preds, self.sample_rate, keep=False)
        target = self.analyses.pitch(self.example.notes_wanted, self.sample_rate)
        return {f.__name__: float(f(preds, target)) for f in self.setting.melody_metrics}

    def _timbre(self) -> dict[str, float]:
        found = {
            "mfcc_distance": self._mfcc_distance(self.example.timbre_wanted),
            "source_mfcc_distance": self._mfcc_distance(self.example.source),
        }
        if self.space is None:
            return found
        preds = _clip(self.example.preds)
        accuracy = timbre_space.instrument_accuracy(preds, [self.example.target_instrument], self.space)
        return found | {
            "triplet_timbre_distance": self._triplet_distance(self.example.timbre_wanted),
            "source_triplet_timbre_distance": self._triplet_distance(self.example.source),
            "instrument_accuracy": float(accuracy),
        }

    def _signal(self) -> dict[str, float]:
        preds, source = _clip(self.example.preds), _clip(self.example.source)
        found = {"source_lsd_mel_db": float(signal.lsd_mel_db(preds, source, self.sample_rate))}
        if self.example.target is None:
            return found
        target = _clip(self.example.target)
        return {
            f.__name__: float(f(preds, target, self.sample_rate)) for f in self.setting.signal_metrics
        } | found

    def _mfcc_distance(self, other: np.ndarray) -> float:
        return float(timbre.mfcc_distance(_clip(self.example.preds), _clip(other), self.sample_rate))

    def _triplet_distance(self, other: np.ndarray) -> float:
        return self.analyses.triplet_distance(self.example.preds, other)


def _clip(audio: np.ndarray) -> Tensor:
    """``(1, T)``: an example is a batch of one."""
    return torch.from_numpy(audio)[None]


@lru_cache(maxsize=2)
def _analyses(folder: Path | None, space_path: Path | None) -> Analyses:
    """One memory for all examples that this process measures in a test."""
    if space_path is None:
        return Analyses(folder)
    from metrics.timbre_space.training import load_timbre_space

    space = load_timbre_space(space_path)
    if space is None:
        raise RuntimeError(f"The timbre space {space_path} is gone or damaged; start the test again.")
    return Analyses(folder, space)
