"""The keys on the first level of a config, in one table: the parser is made from it, and checks read it.

Nothing here is heavy to import.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from runtime.arguments import Number, int_within, natural_int, positive_float, positive_int
from runtime.paths import is_name
from runtime.ranges import Between0And1

TRAINER = "lightning.pytorch.Trainer"
SUBCOMMANDS = ("fit", "validate", "test", "predict")
"""The methods of the trainer that are commands; their parameters are keys too."""
OBJECTS = ("model", "data")
"""Keys that hold a ``class_path`` and its ``init_args``."""
OF_THE_PARSER = ("seed_everything", "config", "print_config", "help", "help-all")
NOT_KEYS = {"model", "dataloaders", "train_dataloaders", "val_dataloaders", "datamodule"}
"""Parameters of the trainer's methods that are objects and no keys."""
SECTIONS = MappingProxyType(
    {
        "trainer": TRAINER,
        "checkpoint": "callbacks.checkpointing.BestAndLast",
        "divergence": "callbacks.guards.divergence.Divergence",
        "random_numbers": "callbacks.random_numbers.RandomNumbers",
        "curriculum": "callbacks.curriculum.Curriculum",
        "time_guard": "callbacks.guards.time_guard.TimeGuard",
        "audio_examples": "callbacks.audio_examples.AudioExamples",
        "histories": "callbacks.histories.Histories",
        "transfer_cost": "callbacks.transfer_cost.TransferCost",
        "test_table": "callbacks.test_table.TestTableArtifact",
        "model_registry": "callbacks.model_registry.RegisteredModel",
        "predictions": "callbacks.predictions.PredictionFiles",
        "system_metrics": "callbacks.tracking.system_metrics.SystemMetrics",
    }
)
"""Classes whose settings stand below a key: the trainer, and the callbacks that are always there."""
RANGE_TEST = MappingProxyType({"range_test": "callbacks.range_test.RangeTest"})
"""The further key of ``lr_find``."""


@dataclass
class RunOptions:
    """What a run is called and what it does beside training.

    Args:
        experiment: Name of the experiment (default: its configs').
        scale: Size of everything: demo or paper.
        fingerprint: Equal for equal trainings; made from the values.
        test_fingerprint: Equal for tests on equal data.
        runs_dir: Where the folders of runs are.
        run_name: Name of the run (default: time, scale, seed).
        test_after_fit: Test the best checkpoint after fit.
        validate_after_fit: After fit, validate the best checkpoint with the joint score too, and time its
            transfer.
        ema_decay: Average the weights: the share of the average that a batch leaves as it was.
        compile: Compile the networks.
    """

    experiment: str | None = None
    scale: str | None = None
    fingerprint: str | None = None
    test_fingerprint: str | None = None
    runs_dir: str = "runs"
    run_name: str | None = None
    test_after_fit: bool = True
    validate_after_fit: bool = False
    ema_decay: Between0And1 | None = None
    compile: bool = False


class Wanted(NamedTuple):
    """What a value must be."""

    words: str
    """To follow "must be"."""
    fits: Callable[[Any], bool]


def within(number: Number) -> Wanted:
    """What a value must be that a config gives for an option of commands."""
    return Wanted(number.wanted, lambda value: _is_in(number, value))


def _is_in(number: Number, value: Any) -> bool:
    try:
        number(str(value))
    except argparse.ArgumentTypeError:
        return False
    return True


def _is_accelerator(value: Any) -> bool:
    return value in ACCELERATORS or not isinstance(value, str)


def _are_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > 0
    return value in ("auto", -1, "-1") or _is_in(positive_int, value) or "," in str(value)


PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed", "32", "64", "bf16", "16")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
AT_LEAST_MINUS_ONE = within(Number(int, "a whole number, or -1 for no limit", lambda value: value >= -1))
NOT_NEGATIVE = within(Number(float, "0 or more", lambda value: value >= 0))
SEED = Wanted(
    "a whole number from 0 to 4294967295",
    lambda value: value is True or _is_in(int_within(0, 2**32 - 1), value),
)
NAME = Wanted("a name in one line, without /", lambda value: is_name(str(value)))
TRAINER_RANGES: Mapping[str, Wanted] = MappingProxyType(
    {
        "accelerator": Wanted(f"one of {', '.join(ACCELERATORS)}", _is_accelerator),
        "devices": Wanted("a number of devices above 0, a list of their numbers, or auto", _are_devices),
        "precision": Wanted(
            "32-true, 64-true, bf16-mixed or 16-mixed (others compute spectra and phases in 16 bits, too)",
            lambda value: str(value) in PRECISIONS,
        ),
        "num_nodes": within(positive_int),
        "max_epochs": AT_LEAST_MINUS_ONE,
        "min_epochs": within(natural_int),
        "max_steps": AT_LEAST_MINUS_ONE,
        "min_steps": within(natural_int),
        "limit_train_batches": NOT_NEGATIVE,
        "limit_val_batches": NOT_NEGATIVE,
        "limit_test_batches": NOT_NEGATIVE,
        "limit_predict_batches": NOT_NEGATIVE,
        "overfit_batches": NOT_NEGATIVE,
        "check_val_every_n_epoch": within(positive_int),
        "num_sanity_val_steps": AT_LEAST_MINUS_ONE,
        "log_every_n_steps": within(natural_int),
        "accumulate_grad_batches": within(positive_int),
        "gradient_clip_val": within(positive_float),
        "reload_dataloaders_every_n_epochs": within(natural_int),
    }
)
"""The ranges of the trainer's values, which its signature does not say."""
OPTIMIZER_RANGES: Mapping[str, Wanted] = MappingProxyType(
    dict.fromkeys(("lr", "weight_decay", "eps", "momentum"), NOT_NEGATIVE)
)
"""The same of the optimizers in ``torch.optim``."""
