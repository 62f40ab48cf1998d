"""The layout of SoundFont 2 files: whether a file is whole, and which General MIDI programs it has.

Renderers do not tell: they play another preset for one that is missing, and another file for one that is
damaged.
Source: SoundFont Technical Specification 2.04, sections 3, 4 and 7.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from datamodules.corpora.corpus import CorpusError

PRESET = struct.Struct("<20sHHHIII")
"""A record of the chunk ``phdr``: name, program, bank, and what a renderer needs besides."""
MELODIC_BANK = 0
"""The bank that a MIDI file plays which chooses none."""


class _Chunk(NamedTuple):
    name: bytes
    start: int
    end: int


def programs_in(path: Path) -> frozenset[int]:
    """List the General MIDI programs (0 to 127) that a ``.sf2`` or ``.sf3`` file has presets for.

    Raises:
        CorpusError: the file is no SoundFont, is cut off, or is damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise CorpusError(f"{path} is not a SoundFont 2 file: it starts with {head!r}; give a .sf2 file.")
        missing = 8 + int.from_bytes(head[4:8], "little") - size
        if missing > 0:
            raise CorpusError(f"{path} is truncated: {missing} bytes are missing; copy it again.")
        presets = [chunk for chunk in _leaves(path, file, size) if chunk.name == b"phdr"]
        n_bytes = presets[0].end - presets[0].start if presets else 0
        if n_bytes == 0 or n_bytes % PRESET.size:
            raise CorpusError(f"{path} is damaged: it has no list of presets; copy it again.")
        file.seek(presets[0].start)
        *found, _ = PRESET.iter_unpack(file.read(n_bytes))  # the last record only marks the end
    return frozenset(program for _, program, bank, *_ in found if bank == MELODIC_BANK)


def _leaves(path: Path, file: BinaryIO, size: int) -> Iterator[_Chunk]:
    """Give every chunk in the three lists of a file: information, samples and presets."""
    for outer in _chunks(path, file, 12, size):
        if outer.name == b"LIST":
            yield from _chunks(path, file, outer.start + 4, outer.end)


def _chunks(path: Path, file: BinaryIO, start: int, end: int) -> Iterator[_Chunk]:
    while start + 8 <= end:
        file.seek(start)
        name, n_bytes = struct.unpack("<4sI", file.read(8))
        chunk = _Chunk(name, start + 8, start + 8 + n_bytes)
        if chunk.end > end:
            raise CorpusError(
                f"{path} is damaged: its chunk {name!r} is longer than what it is in; copy it again."
            )
        yield chunk
        file.seek(chunk.end)
        # Chunks should be filled up to an even length; MuseScore's compressed files are not.
        start = chunk.end + int(n_bytes % 2 == 1 and file.read(1) == b"\0")
