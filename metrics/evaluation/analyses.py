"""Analyses of a clip that many systems need (its notes, its melody), made once and found by content."""

from __future__ import annotations

import hashlib
import math
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.features.pitch import PestoTracker, Pitch, PitchTracker
from metrics.functional.notes import Notes, track_notes
from metrics.timbre_space.space import TimbreSpace, embedding_distance

VERSION = 1
"""Raise it whenever an analysis changes."""
MAX_REMEMBERED = 1024
"""Analyses in memory; the notes of 8 s take 60 kB."""


class Analyses:
    """Notes and melody of clips, kept by a hash of their samples: in memory, and in a folder if there is one.

    Args:
        folder: where analyses of clips that recur, such as targets, are kept between runs; ``None``: nowhere.
        space: timbre space of `triplet_distance`.
        tracker: hears the melody.
    """

    def __init__(
        self,
        folder: Path | None = None,
        space: TimbreSpace | None = None,
        tracker: PitchTracker | None = None,
    ) -> None:
        self.folder = folder
        self.space = space
        self.tracker = tracker or PestoTracker()
        self._memory: OrderedDict[str, dict[str, np.ndarray]] = OrderedDict()

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

    def triplet_distance(self, one: np.ndarray, other: np.ndarray) -> float:
        """`space.triplet_timbre_distance` of two ``(T,)`` clips; embeddings stay in memory."""
        if not one.any() or not other.any():
            return math.nan
        embeddings = (self._embedding(audio) for audio in (one, other))
        return float(embedding_distance(*embeddings))

    def _embedding(self, audio: np.ndarray) -> Tensor:
        space = self.space
        assert space is not None, "triplet_distance needs Analyses(space=...)"

        def embed() -> dict[str, np.ndarray]:
            return {"embedding": space.embed(torch.from_numpy(audio)[None]).numpy()}

        return torch.from_numpy(
            self._found("timbre", audio, space.sample_rate, embed, keep=False)["embedding"]
        )

    def _found(
        self,
        kind: str,
        audio: np.ndarray,
        sample_rate: int,
        analyse: Callable[[], dict[str, np.ndarray]],
        keep: bool,
    ) -> dict[str, np.ndarray]:
        key = f"{kind}-v{VERSION}-{audio_address(audio, sample_rate)}"
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        found = self._read(key) or analyse()
        if keep:
            self._write(key, found)
        self._memory[key] = found
        if len(self._memory) > MAX_REMEMBERED:
            self._memory.popitem(last=False)
        return found

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


def audio_address(audio: np.ndarray, sample_rate: int) -> str:
    """A name for ``(T,)`` samples at a rate: equal for equal audio, on every machine."""
    samples = np.ascontiguousarray(audio, dtype="<f4")
    return hashlib.blake2b(samples.tobytes() + str(sample_rate).encode(), digest_size=16).hexdigest()
