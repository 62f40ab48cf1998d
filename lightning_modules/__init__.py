"""The architectures, a package each, and the contract that they fulfil."""

import lazy_loader

# One architecture does not load the others, so each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules={"anchors", "layers"},
    submod_attrs={
        "adversarial_module": ["AdversarialModule"],
        "ddsp": ["DDSPModule"],
        "disentangled": ["DisentangledModule"],
        "mambamuse": ["MambaMuseModule"],
        "melgan": ["MelGANModule", "MelGANStatisticsModule", "MelGANStyleModule"],
        "pix2pix": ["Pix2PixModule"],
        "transfer_module": ["TimbreTransferModule"],
    },
)
