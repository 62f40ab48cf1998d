"""A trained transfer on audio of any length: chunks, several references, and the options of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_modules.transfer_module import TimbreTransferModule
from runtime.errors import UserError, nearest

OVERLAP_S = 1.0
"""Cross-fade between the chunks of a long file, in seconds."""


class AudioTransfer:
    """A trained module together with the timbre that it is to give.

    Args:
        module: the transfer.
        references: ``(R,)`` audio at the module's rate each; more than one for modules that average them.
        instrument: name of the wanted instrument, for modules that know several; ``None`` leaves it out.
        chunk_s: seconds of audio at a time; ``None`` for all at once.

    Raises:
        UserError: the module takes one reference and was given more, or does not know the instrument.
    """

    def __init__(
        self,
        module: TimbreTransferModule,
        references: Sequence[np.ndarray] = (),
        instrument: str | None = None,
        chunk_s: float | None = None,
    ) -> None:
        if len(references) > 1 and not module.averages_references:
            raise UserError(
                f"{type(module).__name__} plays what one reference plays, and was given {len(references)}: "
                "give --reference once."
            )
        self.module = module
        self.references = list(references)
        self.instrument = None if instrument is None else instrument_id(module, instrument)
        self.chunk_s = chunk_s

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Transfer ``(C, T)`` audio at the module's rate; gives ``(C, T)``."""
        chunk = int((self.chunk_s or 0) * self.module.sample_rate)
        if not chunk or audio.shape[1] <= chunk:
            return self._at_once(audio)
        overlap = min(int(OVERLAP_S * self.module.sample_rate), chunk // 2)
        return cross_faded(self._at_once, audio, chunk, overlap)

    def _at_once(self, audio: np.ndarray) -> np.ndarray:
        source = torch.from_numpy(np.ascontiguousarray(audio)).to(self.module.device)
        references = [torch.from_numpy(one).to(source).expand(len(source), -1) for one in self.references]
        reference: Any = references if len(references) > 1 else next(iter(references), None)
        wanted: Tensor | None = None
        if self.instrument is not None:
            wanted = torch.full((len(source),), self.instrument, device=source.device)
        with torch.inference_mode():
            return self.module.transfer(source, reference, wanted).float().cpu().numpy()


def cross_faded(
    transfer: Callable[[np.ndarray], np.ndarray], audio: np.ndarray, chunk: int, overlap: int
) -> np.ndarray:
    """Apply ``transfer`` to overlapping chunks of ``(C, T)`` audio and join them with linear fades.

    Args:
        transfer: ``(C, T)`` → ``(C, T)`` for any ``T``.
        audio: ``(C, T)``.
        chunk: samples in a chunk.
        overlap: samples that neighbouring chunks share, fewer than ``chunk``.
    """
    n_samples = audio.shape[1]
    result = np.zeros_like(audio)
    for start in range(0, max(n_samples - overlap, 1), chunk - overlap):
        part = transfer(audio[:, start : start + chunk])
        fade = np.ones(part.shape[1], dtype=audio.dtype)
        ramp = np.linspace(0, 1, min(overlap, part.shape[1]), dtype=audio.dtype)
        if start > 0:
            fade[: len(ramp)] = ramp
        if start + chunk < n_samples:
            fade[-len(ramp) :] = ramp[::-1]
        result[:, start : start + chunk] += fade * part
    return result


def set_options(module: TimbreTransferModule, pairs: Sequence[str]) -> None:
    """Set fields of the module's ``adaptation``, a dataclass: how a source is fitted at transfer time.

    Args:
        module: the module whose ``adaptation`` changes; modules without one have no options.
        pairs: ``name=value`` each; ``?`` lists the names.

    Raises:
        UserError: an unknown name, or a value of another type.
    """
    adaptation = module.adaptation
    fields = dataclasses.fields(adaptation) if adaptation else ()
    known = {field.name: getattr(adaptation, field.name) for field in fields}
    listing = ", ".join(f"{name} (now {value})" for name, value in known.items()) or "none"
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            kind = type(module).__name__
            raise UserError(f"{kind} has no option '{name}'.{nearest(name, known)} Its options: {listing}.")
        setattr(adaptation, name, _parsed(name, text, known[name]))


def _parsed(name: str, text: str, now: Any) -> Any:
    """``text`` as the type of the present value."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()] if isinstance(now, bool) else type(now)(text)
    except (KeyError, ValueError):
        kind = type(now).__name__
        raise UserError(f"--option {name}={text}: the value must be a {kind}, for example {now}.") from None


def instrument_id(module: TimbreTransferModule, name: str) -> int:
    """The id of an instrument of the module.

    Raises:
        UserError: the module does not know it.
    """
    if name not in module.instruments:
        known = ", ".join(module.instruments)
        raise UserError(
            f"The model knows no instrument '{name}'.{nearest(name, module.instruments)} It knows {known}."
        )
    return module.instruments.index(name)
