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

from datamodules.pitch import Pitch
from metrics import content, joint, level, melody, perceptual, signal, timbre, timbre_space, waveform
from metrics.analyses import Analyses
from metrics.oracle import with_phase_of
from metrics.timbre_space import TimbreSpace

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


class Example(NamedTuple):
    """One transfer and what it is compared with; audio is ``(T,)`` float32."""

    position: int
    """Place in the table."""
    preds: np.ndarray
    source: np.ndarray
    reference: np.ndarray
    target: np.ndarray | None
    wrong_notes: np.ndarray | None
    is_monophonic: bool
    target_instrument: str


class Setting(NamedTuple):
    """What all examples of a test share; it pickles, so that workers can have it."""

    sample_rate: int
    space_path: Path | None
    """The corpus' timbre space; ``None``: no metric that needs one."""
    analyses_folder: Path | None


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
        self.space = None if setting.space_path is None else _space_at(setting.space_path)
        self.analyses = _analyses_in(setting.analyses_folder)
        # Unpaired: the source has the notes asked for, the reference the timbre asked for.
        self.notes_wanted = example.source if example.target is None else example.target
        self.timbre_wanted = example.reference if example.target is None else example.target

    def metrics(self) -> dict[str, float]:
        found = self._content() | self._timbre() | self._signal()
        return found | self._joint(found) if self.space is not None else found

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        if self.space is None:
            return _NO_WINDOWS, _NO_WINDOWS
        sides = (self.example.preds, self.timbre_wanted)
        preds, target = (self.space.embed_windows(_clip(side))[0].numpy() for side in sides)
        return preds, target

    def _content(self) -> dict[str, float]:
        preds, target = self.example.preds, self.notes_wanted
        heard = self.analyses.notes(preds, self.sample_rate, keep=False)
        wanted = self.analyses.notes(target, self.sample_rate)
        found = {
            "pitch_jaccard_distance": content.jaccard_distance(heard.sounding, wanted.sounding),
            "onset_f1": content.onset_f_measure(heard.onsets_s, wanted.onsets_s),
            "chroma_cosine": float(content.chroma_cosine(_clip(preds), _clip(target), self.sample_rate)),
        }
        return found | (self._melody() if self.example.is_monophonic else {})

    def _melody(self) -> dict[str, float]:
        preds = self.analyses.pitch(self.example.preds, self.sample_rate, keep=False)
        target = self.analyses.pitch(self.notes_wanted, self.sample_rate)
        return {f.__name__: float(f(preds, target)) for f in MELODY_METRICS}

    def _timbre(self) -> dict[str, float]:
        found = {
            "mfcc_distance": self._mfcc_distance(self.timbre_wanted),
            "source_mfcc_distance": self._mfcc_distance(self.example.source),
        }
        if self.space is None:
            return found
        preds = _clip(self.example.preds)
        accuracy = timbre_space.instrument_accuracy(preds, [self.example.target_instrument], self.space)
        return found | {
            "triplet_timbre_distance": self._triplet_distance(self.example.preds, self.timbre_wanted),
            "source_triplet_timbre_distance": self._triplet_distance(self.example.preds, self.example.source),
            "instrument_accuracy": float(accuracy),
        }

    def _signal(self) -> dict[str, float]:
        preds, source = _clip(self.example.preds), _clip(self.example.source)
        found = {"source_lsd_mel_db": float(signal.lsd_mel_db(preds, source, self.sample_rate))}
        if self.example.target is None:
            return found
        target = _clip(self.example.target)
        return {f.__name__: float(f(preds, target, self.sample_rate)) for f in SIGNAL_METRICS} | found

    def _joint(self, found: dict[str, float]) -> dict[str, float]:
        distances = joint.TimbreDistances(
            to_target=found["triplet_timbre_distance"],
            to_source=found["source_triplet_timbre_distance"],
            of_copy=self._triplet_distance(self.example.source, self.timbre_wanted),
        )
        scores = {
            "content_score": joint.content_score(found["pitch_jaccard_distance"], self._content_baseline()),
            "timbre_score": joint.timbre_score(distances),
        }
        return scores | {"joint_score": joint.joint_score(*scores.values())}

    def _content_baseline(self) -> joint.ContentBaseline:
        unrelated = [x for x in (self.example.wrong_notes, self.example.reference) if x is not None]
        distances = [self._jaccard_to_wanted(_fitted(x, len(self.notes_wanted))) for x in unrelated]
        return joint.ContentBaseline(self._oracle_jaccard(), min(distances))

    def _oracle_jaccard(self) -> float:
        if self.example.target is None:
            return 0.0
        oracle = with_phase_of(_clip(self.example.source), _clip(self.example.target), self.sample_rate)
        return self._jaccard_to_wanted(oracle[0].numpy())

    def _jaccard_to_wanted(self, audio: np.ndarray) -> float:
        wanted = self.analyses.notes(self.notes_wanted, self.sample_rate).sounding
        return content.jaccard_distance(self.analyses.notes(audio, self.sample_rate).sounding, wanted)

    def _mfcc_distance(self, other: np.ndarray) -> float:
        return float(timbre.mfcc_distance(_clip(self.example.preds), _clip(other), self.sample_rate))

    def _triplet_distance(self, one: np.ndarray, other: np.ndarray) -> float:
        assert self.space is not None
        return float(timbre_space.triplet_timbre_distance(_clip(one), _clip(other), self.space))


def _clip(audio: np.ndarray) -> Tensor:
    """``(1, T)``: an example is a batch of one."""
    return torch.from_numpy(audio)[None]


def _fitted(audio: np.ndarray, length: int) -> np.ndarray:
    """``audio`` repeated or cut to ``length``."""
    return np.resize(audio, length)


@lru_cache(maxsize=2)
def _space_at(path: Path) -> TimbreSpace:
    from metrics.timbre_training import load_timbre_space

    space = load_timbre_space(path)
    if space is None:
        raise RuntimeError(f"The timbre space {path} disappeared while the test was running; start it again.")
    return space


@lru_cache(maxsize=2)
def _analyses_in(folder: Path | None) -> Analyses:
    return Analyses(folder)
