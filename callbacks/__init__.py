"""Lightning callbacks: what happens beside training; `tracking` records a run, `plots` draws its pictures."""

from importlib import import_module
from typing import Any

_FILES = {
    "AudioExamples": "audio_examples",
    "BestAndLast": "checkpointing",
    "WholeCheckpoints": "checkpointing",
    "Curriculum": "curriculum",
    "Disentanglement": "disentanglement",
    "EvaluationBatches": "evaluation_batches",
    "Histories": "histories",
    "PredictionFiles": "predictions",
    "PretrainedParts": "pretrained",
    "RandomNumbers": "random_numbers",
    "RateRamp": "range_test",
    "RegisteredModel": "model_registry",
    "RunRecord": "run_record",
    "SystemMetrics": "system_metrics",
    "TestTableArtifact": "test_table",
    "TransferCost": "transfer_cost",
}


def __getattr__(name: str) -> Any:
    """Import a callback when it is asked for: commands that only read runs need no Lightning."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"callbacks.{_FILES[name]}"), name)
