"""Banks give instruments their sound: SoundFonts, and folders of recorded notes."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bank": ["Bank"],
        "nsynth": ["NSynthBank"],
        "soundfont": ["FluidSynthBank", "SoundFontBank"],
    },
)

if TYPE_CHECKING:
    from datamodules.banks.bank import Bank
    from datamodules.banks.nsynth import NSynthBank
    from datamodules.banks.soundfont import FluidSynthBank, SoundFontBank
