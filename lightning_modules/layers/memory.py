"""What causal layers remember of a stream from one block to the next."""

from __future__ import annotations

from typing import Any

from torch import nn

Memory = dict[nn.Module, Any]
"""Each layer's own past, which it reads and replaces when it is given a block; empty before the first.

A layer without a past continues silence. So a whole recording is a stream of one block, and the same code
runs on both.
"""
