"""Analyses of a clip that many systems need (its notes, its melody), made once and found by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from datamodules.pitch import PestoTracker, Pitch, PitchTracker
from metrics.notes import Notes, track_notes

VERSION = 1
"""Raise it whenever an analysis changes."""


class Analyses:
    """Notes and melody of clips, kept by a hash of their samples: in memory, and in a folder if there is one.

    Args:
        folder: where analyses of clips that recur, such as targets, are kept between runs; ``None``: nowhere.
        tracker: hears the melody.
    """

    def __init__(self, folder: Path | None = None, tracker: PitchTracker | None = None) -> None:
        self.folder = folder
        self.tracker = tracker or PestoTracker()
        self._memory: dict[str, dict[str, np.ndarray]] = {}

    def notes(self, audio: np.ndarray, sample_rate: int, keep: bool = True) -> Notes:
        """Notes of ``(T,)`` audio. ``keep=False`` leaves nothing on disk: for outputs, which do not recur."""
        found = self._found(
            "notes", audio, sample_rate, lambda: track_notes(audio, sample_rate)._asdict(), keep
        )
        return Notes(**found)

    def pitch(self, audio: np.ndarray, sample_rate: int, keep: bool = True) -> Pitch:
        """Melody of ``(T,)`` audio: a `Pitch` of shape ``(1, N)``."""

        def track() -> dict[str, np.ndarray]:
            pitch = self.tracker(torch.from_numpy(audio)[None], sample_rate)
            return {name: values.cpu().numpy() for name, values in pitch._asdict().items()}

        found = self._found(f"pitch-{self.tracker.name}", audio, sample_rate, track, keep)
        return Pitch(**{name: torch.from_numpy(values) for name, values in found.items()})

    def _found(
        self,
        kind: str,
        audio: np.ndarray,
        sample_rate: int,
        analyse: Callable[[], dict[str, np.ndarray]],
        keep: bool,
    ) -> dict[str, np.ndarray]:
        key = f"{kind}-v{VERSION}-{_address(audio, sample_rate)}"
        if key not in self._memory:
            self._memory[key] = self._read(key) or analyse()
            if keep:
                self._write(key, self._memory[key])
        return self._memory[key]

    def _read(self, key: str) -> dict[str, np.ndarray] | None:
        if self.folder is None:
            return None
        try:
            with np.load(self.folder / f"{key}.npz") as file:
                return dict(file)
        except (OSError, ValueError, EOFError):  # absent, or damaged: it is made again
            return None

    def _write(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        if self.folder is None or (self.folder / f"{key}.npz").is_file():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"{key}.{os.getpid()}.part"
        with beside.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        beside.replace(self.folder / f"{key}.npz")


def _address(audio: np.ndarray, sample_rate: int) -> str:
    samples = np.ascontiguousarray(audio, dtype="<f4")
    return hashlib.blake2b(samples.tobytes() + str(sample_rate).encode(), digest_size=16).hexdigest()
