"""Lightning callbacks: what happens beside training; `tracking` records a run, `plots` draws its pictures."""

import lazy_loader

# Commands that only read runs need no Lightning, so a callback is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules={"guards", "tracking", "plots"},
    submod_attrs={
        "audio_examples": ["AudioExamples"],
        "checkpointing": ["BestAndLast", "WholeCheckpoints"],
        "curriculum": ["Curriculum"],
        "disentanglement": ["Disentanglement"],
        "guards.divergence": ["Divergence"],
        "evaluation_batches": ["EvaluationBatches"],
        "histories": ["Histories"],
        "model_registry": ["RegisteredModel"],
        "predictions": ["PredictionFiles"],
        "pretrained": ["PretrainedParts"],
        "random_numbers": ["RandomNumbers"],
        "range_test": ["RateRamp"],
        "run_record": ["RunRecord"],
        "test_table": ["TestTableArtifact"],
        "guards.time_guard": ["TimeGuard"],
        "tracking.system_metrics": ["SystemMetrics"],
        "transfer_cost": ["TransferCost"],
    },
)
