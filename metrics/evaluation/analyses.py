"""Analyses of clips that many systems are compared with, made once and found by the clips' samples."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.features.pitch import PestoTracker, Pitch, PitchTracker
from metrics.functional.notes import Notes, track_notes
from metrics.timbre_space.space import TimbreSpace
from runtime.files import write_beside

VERSION = 1
"""Raise it whenever an analysis changes."""
MAX_REMEMBERED = 1024
"""Analyses in memory; the notes of 8 s take 60 kB."""


class Analyses:
    """Notes, melody and timbre of clips, kept by a hash of their samples: in memory, and in a folder.

    Args:
        folder: where notes and melodies of clips that recur, such as targets, are kept between runs;
            ``None``: nowhere.
        space: the timbre space of the corpus, if it has one.
        tracker: hears the melody.

    Attributes:
        space: that timbre space, which remembers embeddings in memory.
    """

    def __init__(
        self,
        folder: Path | None = None,
        space: TimbreSpace | None = None,
        tracker: PitchTracker | None = None,
    ) -> None:
        self.folder = folder
        self.space = None if space is None else _RememberingSpace(**vars(space), remembered=self._found)
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
        with write_beside(self.folder / f"{key}.npz") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _RememberingSpace(TimbreSpace):
    """A timbre space that embeds a whole clip once; a batch must have one clip."""

    remembered: Callable[..., dict[str, np.ndarray]]

    def embed(self, audio: Tensor) -> Tensor:
        """See `TimbreSpace.embed`."""
        (clip,) = audio.numpy()

        def embed() -> dict[str, np.ndarray]:
            return {"embedding": super(_RememberingSpace, self).embed(audio).numpy()}

        found = self.remembered("timbre", clip, self.sample_rate, embed, keep=False)
        return torch.from_numpy(found["embedding"])


def audio_address(audio: np.ndarray, sample_rate: int) -> str:
    """A name for ``(T,)`` samples at a rate: equal for equal audio, on every machine."""
    samples = np.ascontiguousarray(audio, dtype="<f4")
    return hashlib.blake2b(samples.tobytes() + str(sample_rate).encode(), digest_size=16).hexdigest()
