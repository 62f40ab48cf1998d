"""Corpora in, batches out: data modules for Lightning, and what they are made of in the rooms below.

Names are imported on first use, so that building a corpus needs neither torch nor lightning.
"""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batch": ["FRAME_RATE_HZ", "Features", "TransferBatch"],
        "data_module": [
            "FeatureDataModule",
            "OneShotDataModule",
            "PairedDataModule",
            "PairedFeatureDataModule",
            "TransferDataModule",
            "UnpairedDataModule",
        ],
    },
)

if TYPE_CHECKING:
    from datamodules.batch import FRAME_RATE_HZ, Features, TransferBatch
    from datamodules.data_module import (
        FeatureDataModule,
        OneShotDataModule,
        PairedDataModule,
        PairedFeatureDataModule,
        TransferDataModule,
        UnpairedDataModule,
    )
