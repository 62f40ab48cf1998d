"""A trained transfer on audio of any length and level: in constant memory, with the timbre that is wanted."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, get_type_hints

import docstring_parser
import numpy as np
import torch
from torch import Tensor

from datamodules.audio.levels import gain_to, level_of
from datamodules.audio.samples import Samples, blocks_of
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.arguments import finite_float
from runtime.errors import UserError, nearest
from runtime.messages import say

OVERLAP_S = 1.0
"""Cross-fade between the chunks of a long source, in seconds."""
REFERENCE_S = 60.0
"""Seconds of a reference that are used."""
ALIGNMENT = 1 << 12
"""Chunks begin at multiples of so many samples, so that all chunks have the same grid of frames."""


class AudioTransfer:
    """A trained module together with the timbre that it is to give.

    A module hears sources and references at the level of the corpus that it was trained on, and the result
    gets the source's level back. So the level of a source changes nothing but the level of the result, and
    silence stays silence.

    Args:
        module: the transfer.
        references: mono audio at the module's rate; more than one for modules that average them.
        instrument: name of the wanted instrument, for modules that know several; ``None`` leaves it out.
        chunk_s: seconds of audio at a time; infinity for all at once.

    Raises:
        UserError: the module takes one reference and was given more, a reference is silent, or the module
            does not know the instrument.
    """

    def __init__(
        self,
        module: TimbreTransferModule,
        references: Sequence[Samples] = (),
        instrument: str | None = None,
        chunk_s: float = math.inf,
    ) -> None:
        self.module = module
        self.references = self._usable(references)
        self.instrument = None if instrument is None else instrument_id(module, instrument)
        self.chunk_s = chunk_s

    def __call__(self, audio: Samples) -> Iterator[np.ndarray]:
        """Transfer mono audio at the module's rate; gives the result, block by block."""
        gain = self._gain(audio)
        if gain == 0.0:
            yield from (np.zeros_like(block) for block in blocks_of(audio))
            return
        chunk = round(min(self.chunk_s * self.module.sample_rate, len(audio)))
        overlap = min(round(OVERLAP_S * self.module.sample_rate), chunk // 2)
        for block in cross_faded(self._parts(audio, gain), len(audio), chunk, overlap):
            yield block / np.float32(gain)

    def _parts(self, audio: Samples, gain: float) -> Callable[[int, int], np.ndarray]:
        device = self.module.device

        def source(start: int, stop: int) -> Tensor:
            return torch.from_numpy(audio[start:stop] * np.float32(gain)).unsqueeze(0).to(device)

        references = [torch.from_numpy(one).unsqueeze(0).to(device) for one in self.references]
        reference: Any = references if len(references) > 1 else next(iter(references), None)
        wanted = None if self.instrument is None else torch.tensor([self.instrument], device=device)
        with torch.inference_mode():
            result = self.module.long_transfer(source, len(audio), reference, wanted)

        def part(start: int, stop: int) -> np.ndarray:
            with torch.inference_mode():
                return result(start, stop)[0].float().cpu().numpy()

        return part

    def _gain(self, audio: Samples) -> float:
        """The gain that brings audio to the level of the module's corpus; 0 for silence."""
        level = level_of(audio, self.module.sample_rate)
        if level.is_silent:
            return 0.0
        return gain_to(self.module.corpus_db, level.loudness_db, level.peak)

    def _usable(self, references: Sequence[Samples]) -> list[np.ndarray]:
        """The references at the level of the corpus, none of them longer than is used."""
        name, n_samples = type(self.module).__name__, round(REFERENCE_S * self.module.sample_rate)
        if references and not self.module.takes_reference:
            say(f"Warning: {name} takes no reference; --reference changes nothing.")
            return []
        if len(references) > 1 and not self.module.averages_references:
            raise UserError(
                f"{name} plays what one reference plays, and was given {len(references)}: give "
                "--reference once."
            )
        if any(len(one) > n_samples for one in references):
            say(f"Of a reference, the first {REFERENCE_S:g} seconds are used.")
        used = [one[:n_samples] for one in references]
        gains = [self._gain(one) for one in used]
        if 0.0 in gains:
            raise UserError(
                f"Reference {gains.index(0.0) + 1} of {len(gains)} is silent; give a recording in which the "
                "wanted timbre is heard."
            )
        return [one * np.float32(gain) for one, gain in zip(used, gains, strict=True)]


def cross_faded(
    part: Callable[[int, int], np.ndarray], n_samples: int, chunk: int, overlap: int
) -> Iterator[np.ndarray]:
    """Join overlapping parts of audio with linear fades; gives blocks of together ``(n_samples,)``.

    Args:
        part: gives ``(stop − start,)`` for ``start`` and ``stop``.
        n_samples: length of the whole.
        chunk: samples of a part, about; all parts but the last have one length.
        overlap: samples that neighbouring parts share, at most half of ``chunk``.
    """
    starts = _starts(n_samples, chunk, overlap)
    rising = np.linspace(0, 1, overlap, dtype=np.float32)
    tail = np.zeros(0, dtype=np.float32)
    for start, following in pairwise([*starts, None]):
        last = following is None
        audio = part(start, n_samples if last else following + overlap).copy()
        audio[: len(tail)] = audio[: len(tail)] * rising[: len(tail)] + tail
        if last:
            yield audio
        else:
            tail = audio[following - start :] * rising[::-1]
            yield audio[: following - start]


def _starts(n_samples: int, chunk: int, overlap: int) -> list[int]:
    """Where the parts begin: all are about equally long, so that none has too little to go by."""
    n_parts = max(1, math.ceil((n_samples - overlap) / (chunk - overlap)))
    step = math.ceil((n_samples - overlap) / n_parts / ALIGNMENT) * ALIGNMENT
    return [0] if n_parts == 1 else list(range(0, n_samples - overlap, step))


class Option(NamedTuple):
    """A field of a module's ``adaptation``, which a user may set."""

    name: str
    read: Callable[[str], Any]
    """Gives the value of a text; raises `argparse.ArgumentTypeError` where it has none."""
    wanted: str
    """What the value must be, to follow "must be"."""
    now: Any
    sentence: str
    """What it does."""


def options_of(module: TimbreTransferModule) -> list[Option]:
    """List the options of a module: the fields of its ``adaptation``, each annotated with its range.

    A field is a truth value, a number, or ``Annotated[float, number]``, a number of `runtime.arguments`.
    """
    if module.adaptation is None:
        return []
    kind = type(module.adaptation)
    documented = docstring_parser.parse_from_object(kind).params
    sentences = {one.arg_name: " ".join((one.description or "").split()) for one in documented}
    options = []
    for name, annotation in get_type_hints(kind, include_extras=True).items():
        [number] = getattr(annotation, "__metadata__", [finite_float])
        read, wanted = (_truth, "true or false") if annotation is bool else (number, number.wanted)
        options.append(Option(name, read, wanted, getattr(module.adaptation, name), sentences.get(name, "")))
    return options


def described_options(module: TimbreTransferModule) -> str:
    """Describe every option of a module: its value now, its range, and what it does."""
    kind = type(module).__name__
    lines = [
        f"  {option.name}={str(option.now).lower()}  ({option.wanted})\n      {option.sentence}"
        for option in options_of(module)
    ]
    return "\n".join([f"Options of {kind}:", *lines] if lines else [f"{kind} has no options."])


def set_options(module: TimbreTransferModule, pairs: Sequence[str]) -> None:
    """Set options of a module.

    Args:
        module: the module whose ``adaptation`` changes; modules without one have no options.
        pairs: ``name=value`` each.

    Raises:
        UserError: an unknown name, or a value that is out of its range.
    """
    options = {option.name: option for option in options_of(module)}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in options:
            kind, known = type(module).__name__, ", ".join(options) or "none"
            raise UserError(f"{kind} has no option '{name}'.{nearest(name, options)} Its options: {known}.")
        try:
            setattr(module.adaptation, name, options[name].read(text))
        except argparse.ArgumentTypeError:
            raise UserError(f"--option {name} must be {options[name].wanted}, not '{text}'.") from None


def _truth(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError("must be true or false")
    return words[text.lower()]


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
