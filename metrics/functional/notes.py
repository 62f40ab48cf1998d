"""Which notes sound when: a multi-pitch tracker for polyphonic audio of any instrument.

The network is Basic Pitch (Bittner et al., ICASSP 2022, arXiv 2203.09893), whose ONNX file comes with the
``basic-pitch`` package; the package itself is never imported.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.audio.files import resampled
from runtime.errors import UserError

MODEL_RATE_HZ = 22050
FRAME_SAMPLES = 256
"""Hop of the network's frames, in samples at `MODEL_RATE_HZ`."""
FRAME_S = FRAME_SAMPLES / MODEL_RATE_HZ
WINDOW_SAMPLES = 43844
"""What the network sees at once: just under 2 s."""
WINDOW_FRAMES = 172
EDGE_FRAMES = 15
"""Frames dropped at each side of a window, because their context is cut off."""
KEPT_FRAMES = WINDOW_FRAMES - 2 * EDGE_FRAMES
NOTE_THRESHOLD = 0.3
"""Posterior from which a note sounds: the default of the original's note creation."""
ONSET_THRESHOLD = 0.5
"""Posterior from which a note starts: the same default."""
LOWEST_MIDI_PITCH = 21
N_PITCHES = 88
SILENT_PEAK = 1e-4
"""A clip that nowhere reaches −80 dB is silent: scaling it up would only track its rounding errors."""
_RELATIVE = Path("saved_models/icassp_2022/nmp.onnx")


class Notes(NamedTuple):
    """The notes of one clip, ``N`` frames of `FRAME_S` seconds; frame ``n`` is centred at ``n·FRAME_S``."""

    sounding: np.ndarray
    """``(N, 88)`` bool: pitch `LOWEST_MIDI_PITCH` + column sounds in the frame."""
    onsets_s: np.ndarray
    """``(K,)`` times in seconds at which at least one note starts, ascending."""


class NoteTrackerError(UserError):
    """The tracker's network is missing; the message is one sentence meant for the user."""


def track_notes(audio: np.ndarray, sample_rate: int) -> Notes:
    """Notes of ``(T,)`` mono audio. Level does not matter: the clip is brought to unit peak first."""
    note, onset = posteriors(audio, sample_rate)
    return Notes(note >= NOTE_THRESHOLD, onset_times(onset.max(1, initial=0.0)))


def posteriors(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability that a pitch sounds, and that it starts, per frame: two ``(N, 88)`` arrays.

    Windows overlap by twice `EDGE_FRAMES` and step by whole frames, so that frame ``n`` of the joined
    result lies exactly at ``n·FRAME_S`` (the original's step drifts by 8 ms a window, which it corrects
    only in its note events).
    """
    peak = float(np.abs(audio).max(initial=0.0))
    n_frames = int(np.ceil(len(audio) / sample_rate / FRAME_S))
    if peak < SILENT_PEAK:
        return np.zeros((n_frames, N_PITCHES)), np.zeros((n_frames, N_PITCHES))
    audio = resampled(audio / peak, sample_rate, MODEL_RATE_HZ).astype(np.float32)
    note, onset = _session().run(_OUTPUTS, {_INPUT: _windows(audio, n_frames)})
    return _joined(note, n_frames), _joined(onset, n_frames)


def onset_times(strength: np.ndarray) -> np.ndarray:
    """Times in seconds of the local maxima of ``strength`` ``(N,)`` that reach `ONSET_THRESHOLD`."""
    padded = np.pad(strength, 1)
    is_peak = (strength >= ONSET_THRESHOLD) & (strength > padded[:-2]) & (strength >= padded[2:])
    return np.flatnonzero(is_peak) * FRAME_S


def _windows(audio: np.ndarray, n_frames: int) -> np.ndarray:
    """``(W, WINDOW_SAMPLES, 1)``: the audio cut so that the kept frames of all windows tile it."""
    step = KEPT_FRAMES * FRAME_SAMPLES
    n_windows = max(1, -(-n_frames // KEPT_FRAMES))
    before = EDGE_FRAMES * FRAME_SAMPLES
    length = step * (n_windows - 1) + WINDOW_SAMPLES
    padded = np.zeros(max(length, before + len(audio)), np.float32)
    padded[before : before + len(audio)] = audio
    views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)
    return np.ascontiguousarray(views[::step][:n_windows, :, None])


def _joined(windows: np.ndarray, n_frames: int) -> np.ndarray:
    return windows[:, EDGE_FRAMES:-EDGE_FRAMES].reshape(-1, windows.shape[-1])[:n_frames]


_INPUT = "serving_default_input_2:0"
_OUTPUTS = ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"]  # notes, onsets


@lru_cache(maxsize=1)
def _session() -> Any:
    """The network, on one thread: two threads on a shared machine were slower than one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(_model_path()), options, providers=["CPUExecutionProvider"])


def _model_path() -> Path:
    spec = importlib.util.find_spec("basic_pitch")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (Path(folder) / _RELATIVE).is_file():
            return Path(folder) / _RELATIVE
    raise NoteTrackerError(
        "The note tracker's network was not found: expected saved_models/icassp_2022/nmp.onnx in an "
        "installed basic-pitch package, found none. Install it with "
        "`pip install --no-deps basic-pitch==0.4.0`."
    )
