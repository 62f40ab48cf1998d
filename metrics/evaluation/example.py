"""One transfer and everything it is compared with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Example(NamedTuple):
    """One example of a test; audio is ``(T,)`` float32."""

    position: int
    """Place in the table."""
    preds: np.ndarray
    source: np.ndarray
    reference: np.ndarray
    """Another piece on the target instrument, ``(R,)``."""
    target: np.ndarray | None
    """The paired answer, where there is one."""
    wrong_notes: np.ndarray | None
    """A third piece on the target instrument, where there is one."""
    is_monophonic: bool
    target_instrument: str

    @property
    def notes_wanted(self) -> np.ndarray:
        """What has the notes asked for: the target, or the source where data is unpaired."""
        return self.source if self.target is None else self.target

    @property
    def timbre_wanted(self) -> np.ndarray:
        """What has the timbre asked for: the target, or the reference where data is unpaired."""
        return self.reference if self.target is None else self.target
