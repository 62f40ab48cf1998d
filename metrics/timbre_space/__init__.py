"""A learned space in which the same timbre is near: its network, its metrics and its training."""

import lazy_loader

from metrics.registry import functions_below

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "space": [*functions_below(__name__)["space"], "TimbreNetwork", "TimbreSpace"],
        "training": ["load_timbre_space", "prepare_timbre_space", "train_timbre_space"],
    },
)
