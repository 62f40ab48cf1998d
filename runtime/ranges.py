"""Types of parameters that are numbers within a range.

A parameter with such a type is an ``int`` or ``float`` to Python. The command line reads the range in the
class's source and refuses other values before anything is imported or built::

    def __init__(self, batch_size: Count = 16, segment_s: Positive = 4.0) -> None: ...
"""

from __future__ import annotations

from typing import Annotated

from runtime.arguments import Number, fraction, natural_int, positive_float, positive_int, sample_rate_hz

Count = Annotated[int, positive_int]
Natural = Annotated[int, natural_int]
Positive = Annotated[float, positive_float]
Share = Annotated[float, fraction]
Between0And1 = Annotated[float, Number(float, "a number between 0 and 1, such as 0.999", lambda x: 0 < x < 1)]
SampleRate = Annotated[int, sample_rate_hz]
