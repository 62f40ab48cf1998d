"""Switches of a training that work alike in every architecture, whoever optimises it.

=======================================  ====================================================
``--trainer.accumulate_grad_batches 4``  a step is made of the mean gradient of four batches
``--trainer.gradient_clip_val 1.0``      every optimizer's gradient is scaled to this norm
``--trainer.precision bf16-mixed``       networks multiply in bfloat16 (16-mixed: float16)
``--ema_decay 0.999``                    an average of the weights is validated and kept
``--compile true``                       networks are compiled
=======================================  ====================================================
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging

from lightning_modules.adversarial_module import Stepping
from runtime.errors import UserError


def stepping_settings(
    trainer: Mapping[str, Any], module: L.LightningModule, callbacks: Sequence[L.Callback] = ()
) -> dict[str, Any]:
    """Settings to put over a trainer's whose module optimises by hand: a `Stepping`, which Lightning accepts.

    Args:
        trainer: settings of accumulation and clipping.
        module: what is trained.
        callbacks: the trainer's, beside which the `Stepping` is put.
    """
    n_batches, clip_val = trainer["accumulate_grad_batches"], trainer["gradient_clip_val"]
    if module.automatic_optimization:
        return {}
    stepping = Stepping(n_batches, clip_val, trainer["gradient_clip_algorithm"] or "norm")
    unset = {"accumulate_grad_batches": 1, "gradient_clip_val": None, "gradient_clip_algorithm": None}
    return {**unset, "callbacks": [*callbacks, stepping]}


def averaging(decay: float) -> L.Callback:
    """Keeps the exponential moving average of the weights; counts in buffers stay what they are.

    Args:
        decay: share of the average that a batch leaves as it was, in (0, 1).
    """
    return EMAWeightAveraging(decay=decay, use_buffers=False)


def compile_networks(module: L.LightningModule) -> None:
    """Compile every part of a module that has weights, in place: names of weights stay what they are.

    Raises:
        UserError: there is no compiler.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"compile needs a C++ compiler, and there is no {compiler}: install one, set CXX, or leave "
            "--compile out."
        )
    for part in module.children():
        if any(True for _ in part.parameters()):
            part.compile()
