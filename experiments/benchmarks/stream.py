"""Latency of the streaming transfer: how long a block of audio takes, and how late the output is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from experiments.benchmarks.protocol import Row
from experiments.benchmarks.timing import Timing, timed
from runtime.arguments import positive_int

TITLE = "Latency of the streaming transfer"
EXPLANATION = (
    "mambamuse_causal with untrained weights, given noise block by block, on one thread. `p50_ms` and "
    "`p99_ms` are by the clock, `cpu_p50_ms` and `cpu_p99_ms` of the processor, which other programs do not "
    "lengthen; for sound without gaps a block must take less than its own duration, `block_ms`. "
    "`times_real_time` is the audio's duration over the processor time. `algorithmic_ms` is how much later "
    "the output is than the input however fast the machine: the longest wait after a click, over its "
    "positions in a stride. A sound card adds the duration of a block."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--scale", default="demo", help="demo or paper (default: %(default)s)")
    parser.add_argument(
        "--blocks", type=positive_int, nargs="+", default=[64, 256, 1024], help="sizes in samples"
    )
    parser.add_argument(
        "--count", type=positive_int, default=500, help="blocks of each size (default: %(default)s)"
    )


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure one row for each size of blocks."""
    from experiments.command_line.cli import build_model
    from runtime.threads import one_thread

    module: Any = build_model("mambamuse_causal", options.scale)
    with one_thread():
        algorithmic = 1000 * click_latency(module) / module.sample_rate
        return [_row(module, size, options.count, algorithmic) for size in options.blocks]


def _row(module: Any, n_samples: int, n_blocks: int, algorithmic_ms: float) -> Row:
    import numpy as np

    timings = _timed_blocks(module, n_samples, n_blocks)
    clock, cpu = np.array([(timing.clock_s, timing.cpu_s) for timing in timings]).T * 1000
    block_ms = 1000 * n_samples / module.sample_rate
    return {
        "block": n_samples,
        "block_ms": round(block_ms, 2),
        "p50_ms": round(float(np.percentile(clock, 50)), 2),
        "p99_ms": round(float(np.percentile(clock, 99)), 2),
        "cpu_p50_ms": round(float(np.percentile(cpu, 50)), 2),
        "cpu_p99_ms": round(float(np.percentile(cpu, 99)), 2),
        "times_real_time": round(float(block_ms / cpu.mean()), 2),
        "algorithmic_ms": round(algorithmic_ms, 3),
    }


def _timed_blocks(module: Any, n_samples: int, n_blocks: int) -> Iterator[Timing]:
    """Time every block but the first ten, which warm up."""
    stream = module.stream(noise(module.sample_rate))
    audio = noise(n_samples * (n_blocks + 10))
    for number, block in enumerate(audio.split(n_samples, dim=1)):
        with timed() as timing:
            stream.process(block)
        if number >= 10:
            yield timing


def click_latency(module: Any) -> int:
    """Find the longest wait, in samples, from a click in the input to the first change of the output."""
    import torch

    stride, reference = module.network.stride, noise(module.sample_rate)
    n_samples = 8 * stride

    def streamed(audio: torch.Tensor) -> torch.Tensor:
        stream = module.stream(reference)
        return torch.cat([stream.process(sample) for sample in audio.split(1, dim=1)], dim=1)

    silence = torch.zeros(1, n_samples)
    without_click = streamed(silence)
    waits: list[int] = []
    for position in range(4 * stride, 5 * stride):
        click = silence.clone()
        click[0, position] = 1.0
        waits.append(int((streamed(click) != without_click)[0].nonzero()[0]) - position)
    return max(waits)


def noise(n_samples: int) -> Any:
    """White noise ``(1, T)`` at −20 dB, the same each time."""
    import torch

    return 0.1 * torch.randn(1, n_samples, generator=torch.Generator().manual_seed(0))
