"""What a file's own framing says about its length, compared with what is there.

Decoders believe a stated length: they stop there, or give what is left without a word. Programs that write to
a pipe state lengths that they cannot know. So a file counts as cut off only where it ends before its own
framing says so, and a length that is a well-known placeholder states nothing.
"""

from __future__ import annotations

import io
import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

PLACEHOLDERS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
"""Programs that cannot seek write the largest length that their header holds, less a header or so."""
PLACEHOLDER_SLACK = 1 << 16
OGG_FIRST, OGG_LAST = 2, 4
"""Bits of an Ogg page's header type (RFC 3533, section 6): first and last page of a logical stream."""


class Chunked(NamedTuple):
    """How a container lays out its chunks."""

    header_bytes: int
    """Bytes before the first chunk."""
    chunk: str
    """`struct` format of a chunk's name and size."""
    align: int
    """Chunks begin at multiples of this."""
    size_includes_header: bool = False


CONTAINERS = {
    b"RIFF": Chunked(12, "<4sI", 2),
    b"RIFX": Chunked(12, ">4sI", 2),
    b"RF64": Chunked(12, "<4sI", 2),
    b"FORM": Chunked(12, ">4sI", 2),
    b"riff": Chunked(40, "<16sQ", 8, size_includes_header=True),
    b"caff": Chunked(8, ">4sq", 1),
}
"""WAV (little and big endian, and with 64-bit sizes), AIFF, Wave64 and CAF, by their first four bytes."""
SAMPLES = (b"data", b"SSND")
"""Names of the chunk that holds the samples."""


def missing_bytes(path: Path) -> int:
    """Bytes that a file's own framing announces and that are missing; 0 where it states no length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(4)
        if magic == b"OggS":
            return _missing_of_ogg(file, size)
        if magic == b".snd":
            offset, n_bytes = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
            return 0 if is_placeholder(n_bytes) else max(0, offset + n_bytes - size)
        layout = CONTAINERS.get(magic)
        return 0 if layout is None else _missing_of_chunks(file, size, layout)


def is_placeholder(n_bytes: int) -> bool:
    """Whether a program wrote this length because it could not know a better one."""
    return n_bytes <= 0 or any(abs(n_bytes - limit) <= PLACEHOLDER_SLACK for limit in PLACEHOLDERS)


def closed_wav(path: Path) -> io.BytesIO | None:
    """A WAV file whose recorder died before it wrote its length, with that length; ``None`` for any other."""
    with path.open("rb") as file:
        head = file.read(1 << 12)
        at = head.find(b"data\0\0\0\0")
        size = path.stat().st_size
        if head[:4] != b"RIFF" or at < 0 or size <= at + 8:
            return None
        n_bytes = min(size - at - 8, 0xFFFFFFFF)
        file.seek(at + 8)
        return io.BytesIO(head[: at + 4] + struct.pack("<I", n_bytes) + file.read())


def ogg_links(path: Path) -> list[tuple[int, int]]:
    """First and last byte (exclusive) of every link of a chained Ogg file (RFC 3533, section 4).

    Streams that are multiplexed begin together, so a link begins where a first page follows a page of another
    kind.
    """
    with path.open("rb") as file:
        pages = list(_ogg_pages(file))
    begins = [
        page.start
        for number, page in enumerate(pages)
        if page.kind & OGG_FIRST and (number == 0 or not pages[number - 1].kind & OGG_FIRST)
    ]
    return list(zip(begins, [*begins[1:], path.stat().st_size], strict=True))


class _Page(NamedTuple):
    start: int
    end: int
    kind: int


def _missing_of_chunks(file: BinaryIO, size: int, layout: Chunked) -> int:
    """Bytes that are missing of the chunk of samples, or of a chunk before it."""
    long_size: int | None = None
    start, length = layout.header_bytes, struct.calcsize(layout.chunk)
    while True:
        file.seek(start)
        header = file.read(length)
        if len(header) < length:
            return length - len(header)  # the file ends before its samples
        name, n_bytes = struct.unpack(layout.chunk, header)
        name = name[:4]
        if name == b"ds64":
            long_size = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))[0]
        if name == b"data" and n_bytes == 0xFFFFFFFF and long_size:
            n_bytes = long_size
        elif is_placeholder(n_bytes):
            if name in SAMPLES:
                return 0
            n_bytes = max(n_bytes, 0)
        end = start + n_bytes + (0 if layout.size_includes_header else length)
        if name in SAMPLES or end > size:
            return max(0, end - size)
        if end <= start:
            return 0  # a size that leads nowhere: the decoder has to say what is wrong
        start = end + -end % layout.align


def _missing_of_ogg(file: BinaryIO, size: int) -> int:
    """Bytes missing of the last page, and at least one where the last page does not end its stream."""
    file.seek(0)
    last = deque(_ogg_pages(file), maxlen=1)[0]
    return last.end - size if last.end > size else int(not last.kind & OGG_LAST)


def _ogg_pages(file: BinaryIO) -> Iterator[_Page]:
    """Every page of an Ogg file: a header of 27 bytes, the sizes of its segments, and the segments."""
    start = 0
    while True:
        file.seek(start)
        header = file.read(27)
        if header[:4] != b"OggS":
            return  # the end, or something behind the stream, such as a tag
        if len(header) < 27:
            yield _Page(start, start + 27, 0)
            return
        n_segments = header[26]
        segments = file.read(n_segments)
        end = start + 27 + n_segments + sum(segments)
        yield _Page(start, end, header[5])
        start = end


def part(path: Path, start: int, end: int) -> io.BytesIO:
    """The bytes of a file from ``start`` to ``end`` as a file of their own."""
    with path.open("rb") as file:
        file.seek(start)
        return io.BytesIO(file.read(end - start))
