"""Speed and memory of the selective scan, forward and backward, beside those of other implementations."""

from __future__ import annotations

import argparse
import importlib.util
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

from experiments.benchmarks.protocol import Row
from experiments.benchmarks.timing import Timing, timed
from runtime.arguments import positive_int
from runtime.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    Scan = Callable[..., Tensor]

TITLE = "Speed of the selective scan"
EXPLANATION = (
    "Forward and backward in float32 on one thread of a CPU; the best of several rounds, after a first use "
    "that compiles. `speedup` is over the faster reference of the same length (a sequential scan in PyTorch, "
    "or the public parallel package, mambapy) and compares the processor time, as the clock also counts what "
    "else the machine does. `peak_mib` is what the process needed beyond the inputs, "
    "`memory_ratio` that over the parallel package's. `best` marks the quickest implementation. Processes of "
    "their own measure one row each. References run up to the length of `--reference-length` only."
)
REFERENCES = ("sequential", "mambapy")
OURS = ("chunked", "compiled")


class Size(NamedTuple):
    """The sizes of what is scanned."""

    length: int
    n_batch: int
    n_channels: int
    n_states: int


class Measured(NamedTuple):
    """Time and memory of one implementation."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument(
        "--lengths", type=positive_int, nargs="+", default=[1024, 8192, 65536, 262144], help="in steps"
    )
    parser.add_argument("--batch", type=positive_int, default=4, help="examples (default: %(default)s)")
    parser.add_argument("--channels", type=positive_int, default=128, help="(default: %(default)s)")
    parser.add_argument(
        "--states", type=positive_int, default=16, help="of each channel (default: %(default)s)"
    )
    parser.add_argument("--reference-length", type=positive_int, default=8192, help="of references at most")
    parser.add_argument(
        "--rounds", type=positive_int, default=3, help="how often each is timed (default: %(default)s)"
    )


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure one row for each length and implementation."""
    if importlib.util.find_spec("mambapy") is None:
        raise UserError(
            "The scan is compared with the package mambapy, which is missing: pip install mambapy."
        )
    rows: list[Row] = []
    for length in options.lengths:
        size = Size(length, options.batch, options.channels, options.states)
        names = (*REFERENCES, *OURS) if length <= options.reference_length else OURS
        rows += compared(length, {name: _in_own_process(name, size, options.rounds) for name in names})
    return rows


def compared(length: int, measured: dict[str, Measured]) -> list[Row]:
    """Make the rows of one length, with ratios to the references where these were measured."""
    reference_s = min((measured[name].cpu_seconds for name in REFERENCES if name in measured), default=None)
    package = measured.get("mambapy")
    best = min(OURS, key=lambda name: measured[name].cpu_seconds)
    return [
        {
            "length": length,
            "implementation": name,
            "seconds": round(it.seconds, 5),
            "cpu_seconds": round(it.cpu_seconds, 5),
            "us_per_step": round(1e6 * it.cpu_seconds / length, 1),
            "peak_mib": round(it.peak_mib, 1),
            "speedup": reference_s and round(reference_s / it.cpu_seconds, 2),
            "memory_ratio": package and round(it.peak_mib / package.peak_mib, 3),
            "best": name == best,
        }
        for name, it in measured.items()
    ]


def _in_own_process(name: str, size: Size, n_rounds: int) -> Measured:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run_implementation, name, size, n_rounds).result()


def run_implementation(name: str, size: Size, n_rounds: int) -> Measured:
    """Time one implementation and measure by how much the peak memory of this process rises."""
    import torch

    torch.set_num_threads(1)
    scan = implementation(name)
    _timing(scan, inputs(size._replace(length=64)))
    tensors = inputs(size)
    before_mib = _peak_mib()
    timings = [_timing(scan, tensors) for _ in range(n_rounds)]
    clock_s, cpu_s = min(t.clock_s for t in timings), min(t.cpu_s for t in timings)
    return Measured(clock_s, cpu_s, max(_peak_mib() - before_mib, 0.1))


def _timing(scan: Scan, tensors: list[Tensor]) -> Timing:
    """Time a forward and a backward pass."""
    for tensor in tensors:
        tensor.grad = None
    with timed() as timing:
        scan(*tensors).sum().backward()  # type: ignore[no-untyped-call]
    return timing


def inputs(size: Size) -> list[Tensor]:
    """Draw random arguments of `layers.scan.selective_scan`, but for the state."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def normal(n: int) -> Tensor:
        return torch.randn(size.n_batch, size.length, n, generator=generator)

    u, delta = normal(size.n_channels), 0.02 * normal(size.n_channels).abs_()
    A = -torch.arange(1.0, size.n_states + 1).repeat(size.n_channels, 1)
    parts = [u, delta, A, normal(size.n_states), normal(size.n_states)]
    return [part.requires_grad_() for part in parts]


def implementation(name: str) -> Scan:
    """The implementation of this name, as a function ``u, delta, A, B, C`` → ``y``."""
    from lightning_modules.layers.scan import chunked_scan, compiled_scan

    return {
        "sequential": sequential,
        "mambapy": parallel_package,
        "chunked": lambda *tensors: chunked_scan(*tensors).y,
        "compiled": lambda *tensors: compiled_scan(*tensors).y,
    }[name]


def sequential(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan step by step, differentiated by PyTorch."""
    import torch

    decay = (delta.unsqueeze(-1) * A).exp()
    inputs = (delta * u).unsqueeze(-1) * B.unsqueeze(2)
    h, outputs = torch.zeros_like(inputs[:, 0]), []
    for decay_t, input_t, C_t in zip(decay.unbind(1), inputs.unbind(1), C.unbind(1), strict=True):
        h = decay_t * h + input_t
        outputs.append((h @ C_t.unsqueeze(-1)).squeeze(-1))
    return torch.stack(outputs, dim=1)


def parallel_package(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan with the parallel scan of mambapy."""
    from mambapy.pscan import pscan

    decay = (delta.unsqueeze(-1) * A).exp()
    inputs = (delta * u).unsqueeze(-1) * B.unsqueeze(2)
    return (pscan(decay, inputs) @ C.unsqueeze(-1)).squeeze(-1)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
