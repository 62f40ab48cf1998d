"""Time by the clock and of the processor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Timing:
    """The duration of what `timed` surrounded, 0 until it ends.

    Attributes:
        clock_s: seconds by the clock, which other programs on the machine lengthen.
        cpu_s: seconds of processor time of this process, all threads together.
    """

    clock_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def timed() -> Iterator[Timing]:
    """Time the body of a ``with`` statement."""
    timing = Timing()
    clock_s, cpu_s = time.perf_counter(), time.process_time()
    yield timing
    timing.clock_s, timing.cpu_s = time.perf_counter() - clock_s, time.process_time() - cpu_s
