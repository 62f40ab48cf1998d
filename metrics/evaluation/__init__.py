"""The one evaluation of every validation and test: the suite, its tables, the joint score and probes."""

import lazy_loader

from metrics.registry import functions_below

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        **functions_below(__name__),
        "accumulate": ["ExampleMean", "FrechetDistance", "KernelAudioDistance"],
        "probes": ["chance", "probe_accuracy"],
        "suite": ["EvaluationSuite"],
        "table": ["Interval", "TestRow", "TestTable", "bootstrap_mean", "paired_differences"],
    },
)
