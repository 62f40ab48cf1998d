"""Speed of MelGAN's vocoder at inference: its faster forms beside a plain forward of the same weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.protocol import Row
from experiments.benchmarks.timing import Timing, timed
from runtime.arguments import positive_float, positive_int

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Speed of MelGAN's vocoder"
EXPLANATION = (
    "Seconds of audio that melgan_vocoder's generator makes from mel frames in a second. The forms are "
    "timed in turns; the best of several rounds counts. `times_real_time` is by the clock and shrinks with "
    "whatever else the machine does; `times_real_time_cpu` is by the processor time of the process, all "
    "threads together, and `ratio` compares that with the plain forward, which computes weight norms and "
    "keeps what a gradient would need, as in training. Weights are untrained."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--scale", default="paper", help="demo or paper (default: %(default)s)")
    parser.add_argument(
        "--threads", type=positive_int, nargs="+", default=[1, 2], help="numbers of threads to try"
    )
    parser.add_argument("--seconds", type=positive_float, default=6.0, help="length of the audio")
    parser.add_argument("--rounds", type=positive_int, default=5, help="how often each form is timed")


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure one row for each number of threads and form."""
    import torch

    from experiments.command_line.cli import build_model

    module: Any = build_model("melgan_vocoder", options.scale)
    n_frames = module.mel.n_frames(round(options.seconds * module.sample_rate))
    mel = 2 * torch.rand(1, module.mel.n_mels, n_frames, generator=torch.Generator().manual_seed(0)) - 1
    threads = torch.get_num_threads()
    try:
        return [row for n_threads in options.threads for row in _rows(module, mel, n_threads, options.rounds)]
    finally:
        torch.set_num_threads(threads)


def _rows(module: Any, mel: Tensor, n_threads: int, n_rounds: int) -> list[Row]:
    import torch

    torch.set_num_threads(n_threads)
    seconds = mel.shape[-1] * module.mel.hop / module.sample_rate
    forms = _forms(module, mel)
    rounds = [{name: _timing(form) for name, form in forms.items()} for _ in range(n_rounds)]
    clock_s = {name: min(timings[name].clock_s for timings in rounds) for name in forms}
    cpu_s = {name: min(timings[name].cpu_s for timings in rounds) for name in forms}
    return [
        {
            "form": name,
            "threads": n_threads,
            "times_real_time": round(seconds / clock_s[name], 1),
            "times_real_time_cpu": round(seconds / cpu_s[name], 1),
            "ratio": round(cpu_s["plain forward"] / cpu_s[name], 2),
        }
        for name in forms
    ]


def _forms(module: Any, mel: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The forms to compare, each run once, so that memory is allocated and caches are warm."""
    import torch

    from lightning_modules.melgan.inference import BFloat16Products, ProductGenerator, vocode

    generator, hop = module.network, module.mel.hop
    single, half = ProductGenerator(generator, torch.float32), BFloat16Products()(generator)
    without_gradients = torch.inference_mode()
    forms = {
        "plain forward": lambda: generator(mel).detach(),
        "no gradients": without_gradients(lambda: generator(mel)),
        "matrix products, float32": without_gradients(lambda: single(mel)),
        "matrix products, bfloat16": without_gradients(lambda: half(mel)),
        "bfloat16, chunks of 128": without_gradients(lambda: vocode(half, mel, hop, 128)),
    }
    for form in forms.values():
        form()
    return forms


def _timing(form: Callable[[], Tensor]) -> Timing:
    with timed() as timing:
        form()
    return timing
