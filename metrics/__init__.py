"""How a timbre transfer is judged: content, timbre and signal metrics, a joint score, one evaluation.

A metric is a pure function that gives one value per example, NaN where the value does not exist:
``lsd_mel_db(preds, target, sample_rate)``. `metrics.registry` lists all of them, `ExampleMean` makes a
torchmetrics class of any of them, and `EvaluationSuite` runs all of them over a test set. Names are imported
when they are first used, so that ``import metrics`` takes no time.
"""

import lazy_loader

from metrics.registry import METRICS, Metric, functions_below

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["evaluation", "functional", "registry", "timbre_space"],
    submod_attrs={
        **functions_below(__name__),
        "evaluation": [
            "EvaluationSuite",
            "ExampleMean",
            "FrechetDistance",
            "KernelAudioDistance",
            "TestTable",
        ],
        "timbre_space": ["TimbreSpace", "load_timbre_space", "prepare_timbre_space"],
    },
)
__all__ += ["METRICS", "Metric"]
