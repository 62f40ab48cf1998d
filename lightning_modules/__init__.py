"""The architectures, a package each, and the contract that they fulfil.

The names below are imported when they are first used, so that one architecture does not load the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_modules.adversarial_module import AdversarialModule as AdversarialModule
    from lightning_modules.ddsp import DDSPModule as DDSPModule
    from lightning_modules.disentangled import DisentangledModule as DisentangledModule
    from lightning_modules.mambamuse import MambaMuseModule as MambaMuseModule
    from lightning_modules.melgan import MelGANModule as MelGANModule
    from lightning_modules.melgan import MelGANStatisticsModule as MelGANStatisticsModule
    from lightning_modules.melgan import MelGANStyleModule as MelGANStyleModule
    from lightning_modules.pix2pix import Pix2PixModule as Pix2PixModule
    from lightning_modules.transfer_module import TimbreTransferModule as TimbreTransferModule

_PLACES = {
    "AdversarialModule": "adversarial_module",
    "DDSPModule": "ddsp",
    "DisentangledModule": "disentangled",
    "MambaMuseModule": "mambamuse",
    "MelGANModule": "melgan",
    "MelGANStatisticsModule": "melgan",
    "MelGANStyleModule": "melgan",
    "Pix2PixModule": "pix2pix",
    "TimbreTransferModule": "transfer_module",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
